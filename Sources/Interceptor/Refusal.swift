import Contract

/// What C is told, its texts being in the buffer that C lent.
struct Verdict {
  var action: WardenAction = WARDEN_ACTION_ALLOW
  var decision: WardenDecision = WARDEN_DECISION_ALLOWED
  var state: SQLState?
  var guardName: WrittenText?
  var message: WrittenText?
  var detail: WrittenText?
  var hint: WrittenText?
}

/// Finds the words for what was decided. MESSAGE: what was refused, on what. DETAIL: which guard. HINT: the way
/// forward, so that a person or a program that reads it can act on it.
struct Refusal {
  var writer: TextWriter

  mutating func verdict(
    on statement: StatementFacts, _ judgement: Judgement, mode: WardenMode, policy: PolicyIndex?
  ) -> Verdict {
    switch judgement {
    case .allowed(let isMasked):
      return Verdict(decision: isMasked ? WARDEN_DECISION_MASKED : WARDEN_DECISION_ALLOWED)
    case .guarded(let finding, let isMasked):
      guard let entry = policy?.entry(finding.rule.number) else { return contradiction() }
      return guarded(statement, finding, entry, isMasked: isMasked, mode: mode)
    case .selfProtected(let access, let classes):
      return selfProtected(statement, access, classes)
    case .noPolicy:
      return internalError(
        "pg_warden has no policy in force",
        detail: "No statement is allowed before the policy has been loaded.",
        hint: "The server's log tells why the policy could not be loaded.")
    case .contradiction:
      return contradiction()
    }
  }

  mutating func verdict(_ error: PolicyError) -> Verdict {
    var verdict = Verdict(action: WARDEN_ACTION_BLOCK, decision: WARDEN_DECISION_BLOCKED, state: error.state)
    verdict.message = write { $0.append(error.message) }
    verdict.hint = write { $0.append(error.hint) }
    return verdict
  }

  /// A warning about subjects that can match nobody yet.
  mutating func needsIdentity() -> Verdict {
    var verdict = Verdict()
    verdict.message = write {
      $0.append("subjects by identity, group or agent match nobody: this version has no verified identities")
    }
    verdict.hint = write { $0.append("Name roles too where the rule has to hold now: role:NAME.") }
    return verdict
  }

  /// A write that would read a masked column; 0 stands for the whole row.
  mutating func maskedWrite(_ relation: ObjectFacts, column: Int16) -> Verdict {
    var verdict = Verdict(
      action: WARDEN_ACTION_BLOCK, decision: WARDEN_DECISION_BLOCKED, state: .insufficientPrivilege)
    let name = relation.columnName(column)
    verdict.message = write { writer in
      writer.append("reading the masked ")
      writer.append(name == nil ? "columns of " : "column ")
      writer.append(relation.name.text)
      if let name {
        writer.append(".")
        writer.append(name)
      }
      writer.append(" to change data is blocked")
    }
    verdict.detail = write { writer in
      writer.append("Conditions, new values and conflicts are decided by real values; their outcome would tell them.")
    }
    verdict.hint = write { writer in
      writer.append("Leave the column out of conditions and new values, or ask a member of warden_admin for ")
      writer.append("an exemption: warden.exempt(subjects, targets).")
    }
    return verdict
  }

  private mutating func write(_ body: (inout TextWriter) -> Void) -> WrittenText {
    let start = writer.length
    body(&writer)
    return writer.written(since: start)
  }

  private mutating func internalError(_ message: StaticString, detail: StaticString, hint: StaticString) -> Verdict {
    var verdict = Verdict(action: WARDEN_ACTION_BLOCK, decision: WARDEN_DECISION_BLOCKED, state: .internalError)
    verdict.message = write { $0.append(message) }
    verdict.detail = write { $0.append(detail) }
    verdict.hint = write { $0.append(hint) }
    return verdict
  }

  private mutating func contradiction() -> Verdict {
    internalError(
      "pg_warden cannot judge the statement: what is known of it contradicts itself",
      detail: "A statement that cannot be judged is refused.",
      hint: "This is a defect of pg_warden; please report it together with the statement.")
  }

  private mutating func selfProtected(
    _ statement: StatementFacts, _ access: AccessFacts?, _ classes: WardenClasses
  ) -> Verdict {
    var verdict = Verdict(
      action: WARDEN_ACTION_BLOCK, decision: WARDEN_DECISION_BLOCKED, state: .insufficientPrivilege)
    verdict.guardName = write { $0.append(SelfProtection.name) }
    let act = RefusedAct(statement: statement, classes: classes, object: access?.object, columnName: nil)
    verdict.message = write { writer in
      act.describe(to: &writer)
      writer.append(" is blocked")
    }
    let isAudit = access?.object.isAny(of: WARDEN_OBJECT_AUDIT) ?? false
    let isCatalog = access?.object.isAny(of: WARDEN_OBJECT_CATALOG) ?? false
    verdict.detail = write { writer in
      writer.append("Guard \"self-protection\": ")
      writer.append(
        isAudit
          ? "audit data is written by pg_warden alone."
          : isCatalog ? "system catalogs change by the server's own DDL alone." : "pg_warden protects its own objects.")
    }
    verdict.hint = write { writer in
      if access == nil {
        writer.append("Call warden.break_glass(reason), then DROP EXTENSION in the same session.")
      } else if isAudit {
        writer.append("Audit data can be read through warden.audit_log, and changed by nobody.")
      } else if isCatalog {
        writer.append("Use the DDL command for it. Only a server that runs without pg_warden leaves catalogs open.")
      } else {
        writer.append("Use the functions of schema warden (warden.guard, warden.unguard, warden.mask ...), ")
        writer.append("or warden.break_glass(reason).")
      }
    }
    return verdict
  }

  private mutating func guarded(
    _ statement: StatementFacts, _ finding: Finding, _ entry: Guard, isMasked: Bool, mode: WardenMode
  ) -> Verdict {
    var verdict = Verdict(decision: isMasked ? WARDEN_DECISION_MASKED : WARDEN_DECISION_ALLOWED)
    verdict.guardName = write { $0.append(entry.name) }
    let isMonitoring = mode == WARDEN_MODE_MONITOR
    switch entry.action {
    case WARDEN_ACTION_ALLOW:
      return verdict
    case WARDEN_ACTION_ALERT:
      verdict.action = WARDEN_ACTION_ALERT
    case WARDEN_ACTION_REQUIRE_APPROVAL:
      verdict.decision =
        isMonitoring ? WARDEN_DECISION_WOULD_REQUIRE_APPROVAL : WARDEN_DECISION_APPROVAL_REQUIRED
      verdict.action = isMonitoring ? WARDEN_ACTION_ALLOW : WARDEN_ACTION_REQUIRE_APPROVAL
      verdict.state = isMonitoring ? nil : .approvalRequired
    default:
      verdict.decision = isMonitoring ? WARDEN_DECISION_WOULD_BLOCK : WARDEN_DECISION_BLOCKED
      verdict.action = isMonitoring ? WARDEN_ACTION_ALLOW : WARDEN_ACTION_BLOCK
      verdict.state = isMonitoring ? nil : .insufficientPrivilege
    }
    explain(&verdict, statement, finding, entry)
    return verdict
  }

  private mutating func explain(
    _ verdict: inout Verdict, _ statement: StatementFacts, _ finding: Finding, _ entry: Guard
  ) {
    let columnName = finding.object?.columnName(finding.column)
    let act = RefusedAct(
      statement: statement, classes: finding.classes, object: finding.object, columnName: columnName)
    verdict.message = write { writer in
      act.describe(to: &writer)
      writer.append(Refusal.predicate(entry.action))
    }
    verdict.detail = write { writer in
      writer.append("Guard \"")
      writer.append(entry.name)
      writer.append("\"")
      if let message = entry.message {
        writer.append(": ")
        writer.append(message)
      } else {
        writer.append(Refusal.verb(entry.action))
        writer.append(entry.statements.text)
        guard finding.classes != 0 else { return writer.append(".") }
        writer.append("; this is ")
        writer.append(StatementClass.name(of: finding.classes))
        writer.append(".")
      }
    }
    guard entry.action != WARDEN_ACTION_ALERT else { return }
    verdict.hint = write { $0.append(Refusal.wayForward(entry.action, finding.classes)) }
  }

  private static func predicate(_ action: WardenAction) -> StaticString {
    switch action {
    case WARDEN_ACTION_ALERT: " raises an alert"
    case WARDEN_ACTION_REQUIRE_APPROVAL: " requires approval"
    default: " is blocked"
    }
  }

  private static func verb(_ action: WardenAction) -> StaticString {
    switch action {
    case WARDEN_ACTION_ALERT: " raises an alert for "
    case WARDEN_ACTION_REQUIRE_APPROVAL: " requires approval for "
    default: " blocks "
    }
  }

  private static func wayForward(_ action: WardenAction, _ classes: WardenClasses) -> StaticString {
    if action == WARDEN_ACTION_REQUIRE_APPROVAL {
      return """
        Approvals are not available in this version: ask a member of warden_admin to lift the guard, \
        or use warden.break_glass(reason).
        """
    }
    if classes & WARDEN_CLASS_DELETE_ALL != 0 { return "Add a WHERE clause that selects the rows to delete." }
    if classes & WARDEN_CLASS_UPDATE_ALL != 0 { return "Add a WHERE clause that selects the rows to update." }
    return "Ask a member of warden_admin to change the guard, or use warden.break_glass(reason)."
  }
}

/// What is refused: the verb, and the object.
struct RefusedAct {
  let statement: StatementFacts
  let classes: WardenClasses
  let object: ObjectFacts?
  let columnName: TextView?

  /// "DELETE of all rows of shop.orders"
  func describe(to writer: inout TextWriter) {
    if classes & WARDEN_CLASS_COPY_PROGRAM != 0 { return writer.append("COPY with a program") }
    if classes & WARDEN_CLASS_SERVER_FILE != 0 {
      appendCommand(to: &writer)
      return writer.append(" with a file of the server")
    }
    if let verb = verbOnRows {
      writer.append(verb)
    } else {
      appendCommand(to: &writer)
      if classes & WARDEN_CLASS_DROP_COLUMN != 0 { writer.append(" DROP COLUMN") }
    }
    guard let object else { return }
    if classes & (WARDEN_CLASS_DELETE_ALL | WARDEN_CLASS_UPDATE_ALL) != 0 {
      writer.append(" of all rows of ")
    } else if isCascade(to: object) {
      writer.append(" reaching ")
      writer.append(object.kind)
      writer.append(" ")
    } else {
      writer.append(" on ")
    }
    writer.append(object.name.text)
    guard let columnName else { return }
    writer.append(".")
    writer.append(columnName)
  }

  private func appendCommand(to writer: inout TextWriter) {
    if statement.command.isEmpty {
      writer.append("this statement")
    } else {
      writer.append(statement.command)
    }
  }

  /// The command that does this to rows; the statement's own tag can be another (WITH, rules, MERGE).
  private var verbOnRows: StaticString? {
    if classes & (WARDEN_CLASS_DELETE_ALL | WARDEN_CLASS_DELETE) != 0 { return "DELETE" }
    if classes & (WARDEN_CLASS_UPDATE_ALL | WARDEN_CLASS_UPDATE) != 0 { return "UPDATE" }
    if classes & WARDEN_CLASS_INSERT != 0 { return statement.command.equals("COPY") ? "COPY" : "INSERT" }
    if classes & WARDEN_CLASS_MERGE != 0 { return "MERGE" }
    if classes & WARDEN_CLASS_READ != 0 { return statement.command.equals("COPY") ? "COPY" : "SELECT" }
    if classes & WARDEN_CLASS_FUNCTION != 0 { return "EXECUTE" }
    if classes & WARDEN_CLASS_CONNECT != 0 { return "CONNECT" }
    return nil
  }

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
