import Contract

/// What is refused, or would be: the command, and the object.
struct RefusedAct {
  let statement: StatementFacts
  let classes: WardenClasses
  /// nil where the statement touches no object that counts.
  let access: AccessFacts?
  /// The attribute number of the column that the guard is about; 0 where it is about the whole object.
  let column: Int16
  /// Nothing is done that the guard is about, but it would not hold for the object any more.
  var isLoss = false

  /// "DELETE of all rows of shop.orders is blocked"
  func message(_ action: WardenAction) -> Message {
    if classes & (WARDEN_CLASS_COPY_PROGRAM | WARDEN_CLASS_SERVER_FILE) != 0 { return reachingHost(action) }
    guard let access else { return plain(action) }
    if access.isHidden { return hidden(action) }
    if isLoss { return leaving(access.object, action) }
    if !access.chain.isEmpty { return falling(access, action) }
    if classes & WARDEN_CLASS_CONNECT != 0 { return connecting(access.object, action) }
    if classes & (WARDEN_CLASS_DELETE_ALL | WARDEN_CLASS_UPDATE_ALL) != 0 { return onAllRows(access.object, action) }
    return isCascade(to: access.object) ? reaching(access.object, action) : on(access.object, action)
  }

  /// How the statement reaches what it does not name; nil where it names it, or the subject may not see all of the way.
  var chain: [UInt8]? {
    guard !isLoss, let access, !access.chain.isEmpty, !access.isHidden, !access.isChainHidden else { return nil }
    return access.chain.copy
  }

  private func reachingHost(_ action: WardenAction) -> Message {
    if let access, access.object.catalog == Catalog.function {
      return access.isHidden ? hidden(action) : on(access.object, action)
    }
    if statement.command.bytes.starts(with: [UInt8]("CONNECT")) { return plain(action) }
    let isCopy = statement.command.equals("COPY")
    return isCopy && classes & WARDEN_CLASS_COPY_PROGRAM != 0 ? withProgram(action) : withServerFile(action)
  }

  private func withProgram(_ action: WardenAction) -> Message {
    switch action {
    case WARDEN_ACTION_ALERT: Message("COPY with a program raises an alert")
    case WARDEN_ACTION_REQUIRE_APPROVAL: Message("COPY with a program requires approval")
    default: Message("COPY with a program is blocked")
    }
  }

  private func withServerFile(_ action: WardenAction) -> Message {
    switch action {
    case WARDEN_ACTION_ALERT: Message("%1$s with a file of the server raises an alert", command)
    case WARDEN_ACTION_REQUIRE_APPROVAL: Message("%1$s with a file of the server requires approval", command)
    default: Message("%1$s with a file of the server is blocked", command)
    }
  }

  private func plain(_ action: WardenAction) -> Message {
    switch action {
    case WARDEN_ACTION_ALERT: Message("%1$s raises an alert", verb)
    case WARDEN_ACTION_REQUIRE_APPROVAL: Message("%1$s requires approval", verb)
    default: Message("%1$s is blocked", verb)
    }
  }

  /// Nothing that the subject has no right to see is named to it; the audit has the name.
  private func hidden(_ action: WardenAction) -> Message {
    switch action {
    case WARDEN_ACTION_ALERT: Message("%1$s on an object that you may not see raises an alert", verb)
    case WARDEN_ACTION_REQUIRE_APPROVAL: Message("%1$s on an object that you may not see requires approval", verb)
    default: Message("%1$s on an object that you may not see is blocked", verb)
    }
  }

  /// "DROP SCHEMA crm is blocked: it would drop table billing.invoices"
  private func falling(_ access: AccessFacts, _ action: WardenAction) -> Message {
    if classes & WARDEN_CLASS_TRUNCATE != 0 { return truncated(access, action) }
    return classes & (WARDEN_CLASS_DROP | WARDEN_CLASS_DROP_COLUMN) != 0
      ? dropped(access, action) : altered(access, action)
  }

  private func leaving(_ object: ObjectFacts, _ action: WardenAction) -> Message {
    switch action {
    case WARDEN_ACTION_ALERT:
      Message("%1$s raises an alert: a guard does not hold for %2$s after it", command, name(object))
    case WARDEN_ACTION_REQUIRE_APPROVAL:
      Message("%1$s requires approval: a guard would not hold for %2$s after it", command, name(object))
    default: Message("%1$s is blocked: a guard would not hold for %2$s after it", command, name(object))
    }
  }

  private func dropped(_ access: AccessFacts, _ action: WardenAction) -> Message {
    let root = access.root.copy
    let fallen = fallen(access)
    return switch action {
    case WARDEN_ACTION_ALERT: Message("%1$s %2$s raises an alert: it drops %3$s", command, root, fallen)
    case WARDEN_ACTION_REQUIRE_APPROVAL:
      Message("%1$s %2$s requires approval: it would drop %3$s", command, root, fallen)
    default: Message("%1$s %2$s is blocked: it would drop %3$s", command, root, fallen)
    }
  }

  private func truncated(_ access: AccessFacts, _ action: WardenAction) -> Message {
    let root = access.root.copy
    let fallen = fallen(access)
    return switch action {
    case WARDEN_ACTION_ALERT: Message("%1$s %2$s raises an alert: it truncates %3$s", command, root, fallen)
    case WARDEN_ACTION_REQUIRE_APPROVAL:
      Message("%1$s %2$s requires approval: it would truncate %3$s", command, root, fallen)
    default: Message("%1$s %2$s is blocked: it would truncate %3$s", command, root, fallen)
    }
  }

  private func altered(_ access: AccessFacts, _ action: WardenAction) -> Message {
    let root = access.root.copy
    let fallen = fallen(access)
    return switch action {
    case WARDEN_ACTION_ALERT: Message("%1$s %2$s raises an alert: it alters %3$s", command, root, fallen)
    case WARDEN_ACTION_REQUIRE_APPROVAL:
      Message("%1$s %2$s requires approval: it would alter %3$s", command, root, fallen)
    default: Message("%1$s %2$s is blocked: it would alter %3$s", command, root, fallen)
    }
  }

  /// "table billing.invoices", "column billing.invoices.total"
  private func fallen(_ access: AccessFacts) -> [UInt8] {
    let object = access.object
    let column = classes & WARDEN_CLASS_DROP_COLUMN == 0 ? nil : access.writtenColumns.element(at: 0)
    guard let column, let name = object.columnName(column) else {
      return object.kind.copy + [32] + object.name.text.copy
    }
    return [UInt8]("column ") + object.name.text.copy + [46] + name.copy
  }

  private func onAllRows(_ object: ObjectFacts, _ action: WardenAction) -> Message {
    switch action {
    case WARDEN_ACTION_ALERT: Message("%1$s of all rows of %2$s raises an alert", verb, name(object))
    case WARDEN_ACTION_REQUIRE_APPROVAL: Message("%1$s of all rows of %2$s requires approval", verb, name(object))
    default: Message("%1$s of all rows of %2$s is blocked", verb, name(object))
    }
  }

  private func reaching(_ object: ObjectFacts, _ action: WardenAction) -> Message {
    let kind = object.kind.copy
    return switch action {
    case WARDEN_ACTION_ALERT: Message("%1$s reaching %2$s %3$s raises an alert", verb, kind, name(object))
    case WARDEN_ACTION_REQUIRE_APPROVAL: Message("%1$s reaching %2$s %3$s requires approval", verb, kind, name(object))
    default: Message("%1$s reaching %2$s %3$s is blocked", verb, kind, name(object))
    }
  }

  private func connecting(_ database: ObjectFacts, _ action: WardenAction) -> Message {
    switch action {
    case WARDEN_ACTION_ALERT: Message("CONNECT to database %1$s raises an alert", name(database))
    case WARDEN_ACTION_REQUIRE_APPROVAL: Message("CONNECT to database %1$s requires approval", name(database))
    default: Message("CONNECT to database %1$s is blocked", name(database))
    }
  }

  private func on(_ object: ObjectFacts, _ action: WardenAction) -> Message {
    switch action {
    case WARDEN_ACTION_ALERT: Message("%1$s on %2$s raises an alert", verb, name(object))
    case WARDEN_ACTION_REQUIRE_APPROVAL: Message("%1$s on %2$s requires approval", verb, name(object))
    default: Message("%1$s on %2$s is blocked", verb, name(object))
    }
  }

  /// With the column.
  func name(_ object: ObjectFacts) -> [UInt8] {
    guard let columnName = object.columnName(column) else { return object.name.text.copy }
    return object.name.text.copy + [46] + columnName.copy
  }

  private var command: [UInt8] {
    statement.command.isEmpty ? [UInt8]("this statement") : statement.command.copy
  }

  var verb: [UInt8] {
    if let verb = verbOnRows { return [UInt8](verb) }
    return classes & WARDEN_CLASS_DROP_COLUMN != 0 ? command + [UInt8](" DROP COLUMN") : command
  }

  /// The command that does this to rows; the statement's own tag can be another (WITH, rules, MERGE).
  private var verbOnRows: StaticString? {
    if classes & (WARDEN_CLASS_DELETE_ALL | WARDEN_CLASS_DELETE) != 0 { return "DELETE" }
    if classes & (WARDEN_CLASS_UPDATE_ALL | WARDEN_CLASS_UPDATE) != 0 { return "UPDATE" }
    if classes & WARDEN_CLASS_INSERT != 0 { return statement.command.equals("COPY") ? "COPY" : "INSERT" }
    if classes & WARDEN_CLASS_MERGE != 0 { return "MERGE" }
    if classes & WARDEN_CLASS_READ != 0 { return statement.command.equals("COPY") ? "COPY" : "SELECT" }
    if classes & WARDEN_CLASS_FUNCTION != 0 || access?.object.catalog == Catalog.function && isCall { return "EXECUTE" }
    if classes & WARDEN_CLASS_CONNECT != 0 { return "CONNECT" }
    return nil
  }

  private var isCall: Bool { statement.command.equals("FUNCTION") }

  /// A DROP of something else takes the object along: DROP SCHEMA a table, say.
  private func isCascade(to object: ObjectFacts) -> Bool {
    guard classes & WARDEN_CLASS_DROP != 0, !object.kind.isEmpty else { return false }
    let command = statement.command.copy
    guard command.starts(with: [UInt8]("DROP ")) else { return false }
    let dropped = command.dropFirst(5)
    let kind = object.kind.copy.map { $0 >= 97 && $0 <= 122 ? $0 &- 32 : $0 }
    return !kind.suffix(dropped.count).elementsEqual(dropped)
  }
}
