import Contract

/// What C is told.
struct Verdict {
  var action: WardenAction = WARDEN_ACTION_ALLOW
  var decision: WardenDecision = WARDEN_DECISION_ALLOWED
  var state: SQLState?
  var guardName: [UInt8]?
  var message: Message?
  var detail: Message?
  var hint: Message?
  /// The way from what the statement names to what is refused.
  var chain: [UInt8]?
  var rowsLeft: Int64 = 0
  var object: ObjectFacts?

  init(decision: WardenDecision) { self.decision = decision }

  /// A refusal that no guard is needed for.
  init(
    refusedBy guardName: [UInt8]? = nil, _ state: SQLState, _ message: Message, detail: Message? = nil, hint: Message
  ) {
    action = WARDEN_ACTION_BLOCK
    decision = WARDEN_DECISION_BLOCKED
    self.state = state
    self.guardName = guardName
    self.message = message
    self.detail = detail
    self.hint = hint
  }
}

/// Finds the words for what was decided. MESSAGE: what was refused, on what. DETAIL: which guard. HINT: the way
/// forward, so that a person or a program that reads it can act on it.
enum Refusal {
  static func verdict(
    on statement: StatementFacts, _ judgement: Judgement, mode: WardenMode, policy: PolicyIndex?
  ) -> Verdict {
    switch judgement {
    case .allowed(let isMasked, let rowsLeft):
      var verdict = Verdict(decision: isMasked ? WARDEN_DECISION_MASKED : WARDEN_DECISION_ALLOWED)
      verdict.rowsLeft = rowsLeft
      return verdict
    case .guarded(let finding, let isMasked, let rowsLeft):
      guard let entry = policy?.entry(finding.rule.number) else { return contradiction() }
      var verdict = guarded(statement, finding, entry, isMasked: isMasked, mode: mode)
      verdict.rowsLeft = rowsLeft
      return verdict
    case .selfProtected(let access, let classes):
      return selfProtected(statement, access, classes)
    case .noPolicy:
      return Verdict(
        refusedBy: nil, .internalError, Message("pg_warden has no policy in force"),
        detail: Message("No statement is allowed before the policy has been loaded."),
        hint: Message("The server's log tells why the policy could not be loaded."))
    case .contradiction:
      return contradiction()
    }
  }

  static func verdict(_ error: PolicyError) -> Verdict {
    Verdict(refusedBy: nil, error.state, error.message, hint: error.hint)
  }

  /// A warning about subjects that can match nobody yet.
  static func needsIdentity() -> Verdict {
    notice(
      Message("subjects by identity, group or agent match nobody: this version has no verified identities"),
      hint: Message("Name roles too where the rule has to hold now: role:NAME."))
  }

  /// Something to say of what is allowed.
  static func notice(_ message: Message, hint: Message) -> Verdict {
    var verdict = Verdict(decision: WARDEN_DECISION_ALLOWED)
    verdict.message = message
    verdict.hint = hint
    return verdict
  }

  private static func contradiction() -> Verdict {
    Verdict(
      refusedBy: nil, .internalError,
      Message("pg_warden cannot judge the statement: what is known of it contradicts itself"),
      detail: Message("A statement that cannot be judged is refused."),
      hint: Message("This is a defect of pg_warden; please report it together with the statement."))
  }

  private static func selfProtected(
    _ statement: StatementFacts, _ access: AccessFacts?, _ classes: WardenClasses
  ) -> Verdict {
    let act = RefusedAct(statement: statement, classes: classes, access: access, column: 0)
    var verdict = Verdict(
      refusedBy: [UInt8](SelfProtection.name), .insufficientPrivilege, act.message(WARDEN_ACTION_BLOCK),
      detail: SelfProtection.detail(access?.object), hint: SelfProtection.wayForward(access?.object))
    verdict.chain = act.chain
    return verdict
  }

  private static func guarded(
    _ statement: StatementFacts, _ finding: Finding, _ entry: Guard, isMasked: Bool, mode: WardenMode
  ) -> Verdict {
    var verdict = Verdict(decision: isMasked ? WARDEN_DECISION_MASKED : WARDEN_DECISION_ALLOWED)
    verdict.guardName = entry.name
    verdict.object = finding.access?.object
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
      verdict.state = isMonitoring ? nil : finding.isByRows ? .limitExceeded : .insufficientPrivilege
    }
    explain(&verdict, statement, finding, entry)
    return verdict
  }

  private static func explain(
    _ verdict: inout Verdict, _ statement: StatementFacts, _ finding: Finding, _ entry: Guard
  ) {
    let act = RefusedAct(
      statement: statement, classes: finding.classes, access: finding.access, column: finding.column,
      isLoss: finding.isLoss)
    verdict.chain = act.chain
    verdict.message = finding.isByRows ? act.message(entry.action, limit: finding.limit) : act.message(entry.action)
    verdict.detail = detail(finding, entry)
    guard entry.action != WARDEN_ACTION_ALERT else { return }
    let isLimit = finding.isByRows && entry.action == WARDEN_ACTION_BLOCK
    verdict.hint = isLimit ? finding.wayWithin() : wayForward(entry.action, finding.classes)
  }

  private static func detail(_ finding: Finding, _ entry: Guard) -> Message {
    if let message = entry.message { return Message("Guard \"%1$s\": %2$s", entry.name, message) }
    let statements = entry.statements.text
    if finding.isByRows { return finding.limitDetail(entry) }
    guard finding.classes != 0 else {
      return switch entry.action {
      case WARDEN_ACTION_ALERT: Message("Guard \"%1$s\" raises an alert for %2$s.", entry.name, statements)
      case WARDEN_ACTION_REQUIRE_APPROVAL: Message("Guard \"%1$s\" requires approval for %2$s.", entry.name, statements)
      default: Message("Guard \"%1$s\" blocks %2$s.", entry.name, statements)
      }
    }
    let this = [UInt8](StatementClass.name(of: finding.classes))
    return switch entry.action {
    case WARDEN_ACTION_ALERT:
      Message("Guard \"%1$s\" raises an alert for %2$s; this is %3$s.", entry.name, statements, this)
    case WARDEN_ACTION_REQUIRE_APPROVAL:
      Message("Guard \"%1$s\" requires approval for %2$s; this is %3$s.", entry.name, statements, this)
    default:
      Message("Guard \"%1$s\" blocks %2$s; this is %3$s.", entry.name, statements, this)
    }
  }

  private static func wayForward(_ action: WardenAction, _ classes: WardenClasses) -> Message {
    if classes & WARDEN_CLASS_CONNECT != 0 {
      return Message(
        """
        Ask a member of warden_admin to change the guard. Where nobody can connect: set warden.mode = monitor in the \
        server's configuration file, reload it, and change the guard.
        """)
    }
    if action == WARDEN_ACTION_REQUIRE_APPROVAL {
      return Message(
        """
        Approvals are not available in this version: ask a member of warden_admin to lift the guard, \
        or use warden.break_glass(reason).
        """)
    }
    if classes & WARDEN_CLASS_DELETE_ALL != 0 {
      return Message("Add a WHERE clause that selects the rows to delete.")
    }
    if classes & WARDEN_CLASS_UPDATE_ALL != 0 {
      return Message("Add a WHERE clause that selects the rows to update.")
    }
    return Message("Ask a member of warden_admin to change the guard, or use warden.break_glass(reason).")
  }
}
