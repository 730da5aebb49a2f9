import Contract

/// A guard, its row checked and copied.
struct Guard {
  let name: [UInt8]
  let action: WardenAction
  let statements: StatementSelection
  let objects: [ObjectPattern]
  let subjects: [SubjectPattern]
  /// Empty: every environment.
  private(set) var environments: [[UInt8]]
  let message: [UInt8]?
  let priority: Int32
  /// Empty: wherever the client is.
  private(set) var networks: [Network]
  /// nil: at any time.
  private(set) var hours: DailyHours?
  /// The guard acts on more rows than that only.
  private(set) var maxRows: Int64?
  /// Who may approve; empty: every member of warden_reviewer.
  let reviewers: [SubjectPattern]
  let approvals: Int32

  /// `atDefinition`: what a row names must exist. A role that was dropped since must not make a policy invalid that
  /// is in force.
  init(_ row: GuardRow, atDefinition: Bool) throws(PolicyError) {
    name = try Guard.name(row)
    action = try Guard.action(row)
    statements = try StatementSelection(row.statements)
    objects = try Guard.objects(row)
    subjects = try Guard.subjects(row.subjects, atDefinition: atDefinition)
    environments = try Guard.environments(row)
    message = row.message.copyOrNil
    priority = row.priority
    networks = try Guard.networks(row)
    hours = try Guard.hours(row, atDefinition: atDefinition)
    maxRows = try Guard.maxRows(row, action, statements)
    reviewers = try Guard.reviewers(row, action, atDefinition: atDefinition)
    approvals = try Guard.approvals(row, action)
  }

  /// Higher decides over lower: the priority first, then the severity of the action.
  var rank: Int64 { (Int64(priority) << 8) | Int64(action.rawValue & 0xFF) }

  /// Whether the guard holds in the session's environment, for clients where its own is, and now.
  func isInForce(_ session: SessionFacts) -> Bool {
    if !environments.isEmpty {
      guard environments.contains(where: { session.environment.equals($0) }) else { return false }
    }
    if !networks.isEmpty {
      guard networks.contains(where: { $0.contains(session.clientNetwork) }) else { return false }
    }
    guard let hours else { return true }
    // Where the time cannot be told, what restricts does, and what permits does not.
    return hours.contain(session.minutes, unknown: action != WARDEN_ACTION_ALLOW)
  }

  /// What keeps the guard from being in force in the session; nil where it is.
  func obstacle(_ session: SessionFacts) -> StaticString? {
    if isInForce(session) { return nil }
    var less = self
    less.hours = nil
    if less.isInForce(session) { return "does not match at this hour" }
    less.networks = []
    return less.isInForce(session) ? "does not match this client's address" : "does not match in this environment"
  }

  /// The same guard wherever, whenever, and on however many rows.
  var unconditional: Guard {
    var copy = self
    copy.environments = []
    copy.networks = []
    copy.hours = nil
    copy.maxRows = nil
    return copy
  }

  /// Who is restricted by the guard, or is permitted something by it.
  func isFor(_ session: SessionFacts) -> Bool {
    for subject in subjects where subject.matches(session, asUser: action != WARDEN_ACTION_ALLOW) { return true }
    return false
  }

  /// The roles the guard is for, where it is for roles alone; nil where it is for others too.
  var roles: [UInt32]? {
    var roles: [UInt32] = []
    for subject in subjects {
      guard case .role = subject else { return nil }
      if let role = subject.role { roles.append(role) }
    }
    return roles
  }

  /// Entries of `subjects`; also for exemptions.
  static func subjects(_ rows: [SubjectRow], atDefinition: Bool) throws(PolicyError) -> [SubjectPattern] {
    guard !rows.isEmpty else {
      throw PolicyError(
        .invalidParameter, "subjects must not be empty", hint: "Use {*} for every subject.")
    }
    var subjects: [SubjectPattern] = []
    for row in rows {
      let subject = try SubjectPattern(row)
      if atDefinition, subject.hasMissingRole {
        throw PolicyError(
          .undefinedObject, "role of a subject does not exist:", row.text,
          hint: "Name an existing role: role:NAME.")
      }
      subjects.append(subject)
    }
    return subjects
  }

  private static func name(_ row: GuardRow) throws(PolicyError) -> [UInt8] {
    guard !row.name.isEmpty else {
      throw PolicyError(
        .invalidParameter, "the name of a guard must not be empty", hint: "Give a name of 1 to 63 bytes.")
    }
    guard row.name.count <= 63 else {
      throw PolicyError(
        .invalidParameter, "name of a guard is too long:", row.name, hint: "Give a name of 1 to 63 bytes.")
    }
    guard !row.name.equals(SelfProtection.name) else {
      throw PolicyError(
        .invalidParameter, "name of a guard is reserved:", row.name,
        hint: "pg_warden's protection of itself is built in; give another name.")
    }
    return row.name.copy
  }

  private static func action(_ row: GuardRow) throws(PolicyError) -> WardenAction {
    if row.action.equals("block") { return WARDEN_ACTION_BLOCK }
    if row.action.equals("require_approval") { return WARDEN_ACTION_REQUIRE_APPROVAL }
    if row.action.equals("alert") { return WARDEN_ACTION_ALERT }
    if row.action.equals("allow") { return WARDEN_ACTION_ALLOW }
    throw PolicyError(
      .invalidParameter, "invalid action", row.action, hint: "Accepted: block, require_approval, alert, allow.")
  }

  private static func objects(_ row: GuardRow) throws(PolicyError) -> [ObjectPattern] {
    guard !row.objects.isEmpty else {
      throw PolicyError(.invalidParameter, "objects must not be empty", hint: "Use {*} for every object.")
    }
    var objects: [ObjectPattern] = []
    for object in row.objects { objects.append(try ObjectPattern(object)) }
    return objects
  }

  private static func environments(_ row: GuardRow) throws(PolicyError) -> [[UInt8]] {
    guard !row.environments.isEmpty, !row.environments.contains(where: { $0.isEmpty }) else {
      throw PolicyError(
        .invalidParameter, "environments must not be empty", hint: "Use {*} for every environment.")
    }
    if row.environments.contains(where: { $0.equals("*") }) { return [] }
    return row.environments.map { $0.copy }
  }
}

/// What `statements` of a guard select.
struct StatementSelection {
  private(set) var classes: WardenClasses = 0
  /// Command tags, in upper case.
  private(set) var tags: [[UInt8]] = []
  /// As written, for the DETAIL of a refusal.
  private(set) var text: [UInt8] = []

  init(_ rows: [TextView]) throws(PolicyError) {
    guard !rows.isEmpty else {
      throw PolicyError(
        .invalidParameter, "statements must not be empty", hint: "Use {all} for every statement.")
    }
    for row in rows {
      try add(row)
      if !text.isEmpty { text.append(", ") }
      text.append(contentsOf: row.bytes)
    }
  }

  /// Classes whose statements C must have judged, so that no statement is passed over that the selection could mean.
  var asked: WardenClasses {
    var asked = classes
    for tag in tags {
      asked |=
        CommandTag.isPlanned(tag)
        ? StatementClass.onRows | WARDEN_CLASS_FUNCTION | WARDEN_CLASS_MISC
        : StatementClass.all & ~StatementClass.onRows
    }
    return asked
  }

  private mutating func add(_ row: TextView) throws(PolicyError) {
    if let named = StatementClass.named(row) {
      classes |= named
    } else if !StatementSelection.isLowerCaseWord(row), let tag = CommandTag.canonical(row) {
      // A WITH or a rule gives the statement another tag; what it does to rows is the same.
      if let rows = StatementSelection.classOnRows(tag) { classes |= rows } else { tags.append(tag) }
    } else {
      throw PolicyError(
        .invalidParameter, Message("invalid statement", quoting: row.copy), hint: StatementSelection.accepted)
    }
  }

  private static func classOnRows(_ tag: [UInt8]) -> WardenClasses? {
    if tag == [UInt8]("INSERT") { return WARDEN_CLASS_INSERT }
    if tag == [UInt8]("UPDATE") { return WARDEN_CLASS_UPDATE }
    if tag == [UInt8]("DELETE") { return WARDEN_CLASS_DELETE }
    if tag == [UInt8]("MERGE") { return WARDEN_CLASS_MERGE }
    return nil
  }

  private static func isLowerCaseWord(_ text: TextView) -> Bool {
    !text.bytes.contains { byte in byte == 32 || (byte >= 65 && byte <= 90) }
  }

  private static var accepted: Message {
    var names: [UInt8] = []
    for entry in StatementClass.names {
      if !names.isEmpty { names.append(", ") }
      names.append(entry.name)
    }
    return Message("Accepted: %1$s, or a command tag in upper case such as CREATE INDEX.", names)
  }
}
