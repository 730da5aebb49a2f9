import Contract

// Where and when a guard acts, on how many rows, and who may approve: the arguments of warden.guard that most guards leave
// out, and which of them go together.

extension Guard {
  static func networks(_ row: GuardRow) throws(PolicyError) -> [Network] {
    guard let rows = row.networks else { return [] }
    var networks: [Network] = []
    for entry in rows {
      guard let network = Network(entry) else {
        throw PolicyError(.invalidParameter, Message("networks must not hold NULL"), hint: networksHint)
      }
      networks.append(network)
    }
    guard !networks.isEmpty else {
      throw PolicyError(.invalidParameter, Message("networks must not be empty"), hint: networksHint)
    }
    return networks
  }

  private static var networksHint: Message {
    Message("Give networks such as {10.0.0.0/8,fd00::/8}, or NULL for clients wherever they are.")
  }

  static func hours(_ row: GuardRow, atDefinition: Bool) throws(PolicyError) -> DailyHours? {
    if row.hours.isNull { return nil }
    return try DailyHours(row.hours, zone: row.hoursZone, atDefinition: atDefinition)
  }

  static func maxRows(
    _ row: GuardRow, _ action: WardenAction, _ statements: StatementSelection
  ) throws(PolicyError) -> Int64? {
    guard row.maxRows != -1 else { return nil }
    guard row.maxRows >= 0 else {
      throw PolicyError(
        .invalidParameter, "max_rows must not be negative", hint: "Give a number of rows from 0 on, or NULL.")
    }
    guard action != WARDEN_ACTION_ALLOW else {
      throw PolicyError(
        .invalidParameter, "max_rows cannot be combined with the action allow",
        hint: "A limit refuses or reports what exceeds it: block, require_approval, alert.")
    }
    guard statements.isOnRows else {
      throw PolicyError(
        .invalidParameter, "max_rows is for statements that read or change rows, not for", statements.text,
        hint: """
          Accepted with max_rows: read, insert, update, delete, merge, write, update_all, delete_all, copy_in, \
          copy_out, all.
          """)
    }
    return row.maxRows
  }

  static func reviewers(
    _ row: GuardRow, _ action: WardenAction, atDefinition: Bool
  ) throws(PolicyError) -> [SubjectPattern] {
    guard let rows = row.reviewers else { return [] }
    guard action == WARDEN_ACTION_REQUIRE_APPROVAL else {
      throw PolicyError(
        .invalidParameter, "reviewers are for the action require_approval alone",
        hint: "Leave reviewers out, or let the guard require approval.")
    }
    guard !rows.isEmpty else {
      throw PolicyError(
        .invalidParameter, "reviewers must not be empty",
        hint: "Leave reviewers out for every member of warden_reviewer.")
    }
    let reviewers = try subjects(rows, atDefinition: atDefinition)
    for (reviewer, text) in zip(reviewers, rows) where !reviewer.canReview {
      throw PolicyError(
        .invalidParameter, "invalid reviewer", text.text, hint: "Accepted: *, role:NAME, identity:GLOB, group:GLOB.")
    }
    return reviewers
  }

  static func approvals(_ row: GuardRow, _ action: WardenAction) throws(PolicyError) -> Int32 {
    guard row.approvals >= 1 else {
      throw PolicyError(
        .invalidParameter, "approvals must be 1 or more", hint: "Give how many reviewers have to agree.")
    }
    guard row.approvals == 1 || action == WARDEN_ACTION_REQUIRE_APPROVAL else {
      throw PolicyError(
        .invalidParameter, "approvals are for the action require_approval alone",
        hint: "Leave approvals out, or let the guard require approval.")
    }
    return row.approvals
  }
}

extension SubjectPattern {
  /// An application's name is a claim that every session may make; no machine approves.
  fileprivate var canReview: Bool {
    switch self {
    case .everyone, .role, .identity, .group: true
    case .application, .agent, .anonymous: false
    case .all(let parts): parts.allSatisfy { $0.canReview }
    }
  }
}

extension StatementSelection {
  /// Whether a number of rows means something for every statement that is selected.
  fileprivate var isOnRows: Bool {
    let rows = StatementClass.onRows | WARDEN_CLASS_COPY_IN | WARDEN_CLASS_COPY_OUT
    guard classes == StatementClass.all || classes & ~rows == 0 else { return false }
    return tags.allSatisfy(CommandTag.isPlanned)
  }
}
