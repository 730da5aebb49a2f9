import Contract

/// A row of warden.explain.
struct ExplainedRow {
  var guardName: [UInt8]?
  var action: [UInt8]?
  var object: [UInt8]?
  var reason: [UInt8]
}

/// What would be decided of a statement, guard by guard. Each guard is tried on its own, by the same search that decides,
/// so that nothing here says what a guard means.
struct Explanation {
  private let statement: StatementFacts
  private let session: SessionFacts
  private let policy: PolicyIndex?
  private let judgement: Judgement
  /// Guards that are about some class of the statement, alone in a policy, and wherever and whenever they hold.
  private let candidates: [(number: Int, alone: PolicyIndex)]
  private(set) var rows: [ExplainedRow] = []

  init(_ statement: StatementFacts, in session: SessionFacts, by policy: PolicyIndex?) {
    self.statement = statement
    self.session = session
    self.policy = policy
    judgement = judge(statement, in: session, by: policy)
    candidates = Explanation.candidates(statement, policy)
    explainSelfProtection()
    for access in statement.accesses {
      explainActs(on: access)
      explainLoss(of: access)
    }
    explainActs(classes: statement.classes & ~Explanation.attributed(statement))
    if !rows.isEmpty || policy == nil { explainResult() }
  }

  private static func candidates(
    _ statement: StatementFacts, _ policy: PolicyIndex?
  ) -> [(number: Int, alone: PolicyIndex)] {
    guard let policy else { return [] }
    var candidates: [(number: Int, alone: PolicyIndex)] = []
    for (number, entry) in policy.guards.enumerated() where entry.statements.asked & statement.classes != 0 {
      candidates.append((number, PolicyIndex(guards: [entry.unconditional], exemptions: [], labels: policy.labels)))
    }
    return candidates
  }

  private static func attributed(_ statement: StatementFacts) -> WardenClasses {
    statement.accesses.reduce(0) { $0 | $1.classes }
  }

  // MARK: - Self-protection

  private mutating func explainSelfProtection() {
    for access in statement.accesses {
      let classes = SelfProtection.refused(access, of: statement, in: session)
      guard classes != 0 else { continue }
      addSelfProtection(access, StatementClass.name(of: classes))
    }
    // Whatever of it the facts do not name.
    if rows.isEmpty && isSelfProtected { addSelfProtection(nil, "drop") }
  }

  private mutating func addSelfProtection(_ access: AccessFacts?, _ className: StaticString) {
    rows.append(
      ExplainedRow(
        guardName: [UInt8](SelfProtection.name), action: [UInt8]("block"), object: Explanation.name(access, 0),
        reason: [UInt8](className) + [UInt8](": decides")))
  }

  private var isSelfProtected: Bool {
    if case .selfProtected = judgement { return true }
    return false
  }

  // MARK: - Guards

  private mutating func explainActs(on access: AccessFacts) {
    var rest = access.classes
    while rest != 0 {
      let family = StatementClass.family(in: rest)
      rest &= ~family
      explain(Explanation.find(family, on: access))
    }
  }

  /// The guard that would not hold for the object after the statement.
  private mutating func explainLoss(of access: AccessFacts) {
    guard let policy, let after = access.after else { return }
    var search = Search(statement, session, policy)
    guard let loss = search.loss(of: access, after), let entry = policy.entry(loss.rule.number) else { return }
    rows.append(
      ExplainedRow(
        guardName: entry.name, action: [UInt8](Explanation.name(of: entry.action)),
        object: Explanation.name(access, loss.column),
        reason: [UInt8]("would not hold after it: ") + decides(loss.rule.number)))
  }

  /// Of the statement, where it names no object for them.
  private mutating func explainActs(classes: WardenClasses) {
    guard classes != 0 || statement.accesses.isEmpty else { return }
    var rest = classes
    repeat {
      let act = rest & StatementClass.family(in: rest)
      rest &= ~act
      explain { search in search.finding(act) }
    } while rest != 0
  }

  private static func find(_ classes: WardenClasses, on access: AccessFacts) -> (inout Search) -> Finding? {
    { search in search.finding(on: access, within: classes) }
  }

  /// Every guard that matches one act, the one that decides first.
  private mutating func explain(_ find: (inout Search) -> Finding?) {
    guard let policy else { return }
    var whole = Search(statement, session, policy)
    let decisive = find(&whole)
    var others: [(rank: Int64, row: ExplainedRow)] = []
    for (number, alone) in candidates {
      var search = Search(statement, session, alone)
      guard let finding = find(&search), let entry = policy.entry(number) else { continue }
      let row = row(finding, entry, number, decisive)
      if number == decisive?.rule.number { rows.append(row) } else { others.append((entry.rank, row)) }
    }
    others.sort { $0.rank > $1.rank }
    rows += others.map { $0.row }
  }

  private func row(_ finding: Finding, _ entry: Guard, _ number: Int, _ decisive: Finding?) -> ExplainedRow {
    var reason =
      finding.classes == 0 ? statement.command.copy : [UInt8](StatementClass.name(of: finding.classes))
    reason.append(": ")
    if let obstacle = entry.obstacle(session) {
      reason.append(obstacle)
    } else if number == decisive?.rule.number {
      reason += decides(number)
    } else if let maxRows = entry.maxRows {
      reason.append("only beyond max_rows, ")
      reason += Explanation.decimal(maxRows)
      reason.append(" rows")
    } else {
      reason.append("outranked by ")
      reason += decisive.flatMap { policy?.entry($0.rule.number)?.name } ?? []
    }
    let act = RefusedAct(
      statement: statement, classes: finding.classes, access: finding.access, column: finding.column)
    if let chain = act.chain { reason += [UInt8]("; ") + chain }
    return ExplainedRow(
      guardName: entry.name, action: [UInt8](Explanation.name(of: entry.action)),
      object: Explanation.name(finding.access, finding.column), reason: reason)
  }

  private func decides(_ number: Int) -> [UInt8] {
    if isSelfProtected { return [UInt8]("outranked by ") + [UInt8](SelfProtection.name) }
    if session.isBreakingGlass { return [UInt8]("lifted by break-glass") }
    guard let entry = policy?.entry(number) else { return [] }
    switch session.mode {
    case WARDEN_MODE_OFF: return [UInt8]("decides, but the mode is off")
    case WARDEN_MODE_MONITOR where entry.action == WARDEN_ACTION_BLOCK:
      return [UInt8]("decides, but the mode is monitor: would_block")
    case WARDEN_MODE_MONITOR where entry.action == WARDEN_ACTION_REQUIRE_APPROVAL:
      return [UInt8]("decides, but the mode is monitor: would_require_approval")
    default: break
    }
    if case .guarded(let finding, _, _) = judgement, finding.rule.number != number,
      let name = policy?.entry(finding.rule.number)?.name
    {
      return [UInt8]("decides about this act; about the statement ") + name + [UInt8](" does")
    }
    return [UInt8]("decides")
  }

  // MARK: - The result

  private mutating func explainResult() {
    let verdict = Refusal.verdict(on: statement, judgement, mode: session.mode, policy: policy)
    var reason = verdict.message?.english ?? [UInt8]("the statement runs")
    if verdict.decision == WARDEN_DECISION_WOULD_BLOCK { reason = [UInt8]("would_block: ") + reason }
    if verdict.decision == WARDEN_DECISION_WOULD_REQUIRE_APPROVAL {
      reason = [UInt8]("would_require_approval: ") + reason
    }
    rows.append(
      ExplainedRow(
        guardName: nil, action: [UInt8](Explanation.name(of: verdict.action)), object: nil, reason: reason))
  }

  // MARK: - Words

  private static func name(of action: WardenAction) -> StaticString {
    switch action {
    case WARDEN_ACTION_ALERT: "alert"
    case WARDEN_ACTION_REQUIRE_APPROVAL: "require_approval"
    case WARDEN_ACTION_BLOCK: "block"
    default: "allow"
    }
  }

  /// nil where there is no object, or where it is not to be named.
  private static func name(_ access: AccessFacts?, _ column: Int16) -> [UInt8]? {
    guard let access, !access.isHidden else { return nil }
    guard let columnName = access.object.columnName(column) else { return access.object.name.text.copy }
    return access.object.name.text.copy + [46] + columnName.copy
  }

  private static func decimal(_ number: Int64) -> [UInt8] {
    var digits: [UInt8] = []
    var rest = number.magnitude
    repeat {
      digits.append(48 &+ UInt8(truncatingIfNeeded: rest % 10))
      rest /= 10
    } while rest > 0
    return digits.reversed()
  }
}
