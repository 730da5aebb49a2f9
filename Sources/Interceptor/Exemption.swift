import Contract

/// Who sees real values of masked columns besides superusers and owners.
struct Exemption {
  let id: Int64
  let subjects: [SubjectPattern]
  let targets: [ObjectPattern]
  /// Microseconds since 2000-01-01 UTC; the first one at which it no longer holds.
  let until: Int64

  /// `atDefinition`: what the row names must exist; see Guard.
  init(_ row: ExemptionRow, atDefinition: Bool) throws(PolicyError) {
    id = row.id
    subjects = try Exemption.subjects(row, atDefinition: atDefinition)
    targets = try Exemption.targets(row)
    until = row.until
  }

  /// Membership of the session's user does not count: SET ROLE to a role that is masked is to be masked.
  func isFor(_ session: SessionFacts, at now: Int64) -> Bool {
    guard isActive(at: now) else { return false }
    for subject in subjects where subject.matches(session, asUser: false) { return true }
    return false
  }

  func isActive(at now: Int64) -> Bool { now < until || until == .max }

  func covers(_ relation: ObjectFacts, column: Int16) -> Bool {
    for target in targets where target.covers(relation, column: column) { return true }
    return false
  }

  private static func subjects(_ row: ExemptionRow, atDefinition: Bool) throws(PolicyError) -> [SubjectPattern] {
    let subjects = try Guard.subjects(row.subjects, atDefinition: atDefinition)
    // Real values are not shown on a claim.
    for (subject, text) in zip(subjects, row.subjects) where !subject.isProven {
      throw PolicyError(
        .invalidParameter, "invalid subject of an exemption", text.text,
        hint: """
          Accepted: *, role:NAME, identity:GLOB, group:GLOB, agent:GLOB; one of them and application:GLOB or anonymous, \
          joined by ' & '.
          """)
    }
    return subjects
  }

  private static func targets(_ row: ExemptionRow) throws(PolicyError) -> [ObjectPattern] {
    guard !row.targets.isEmpty else {
      throw PolicyError(.invalidParameter, "targets must not be empty", hint: "Use {*} for every masked column.")
    }
    var targets: [ObjectPattern] = []
    for text in row.targets {
      let target = try ObjectPattern(text)
      guard target.kind != .database, target.kind != .function else {
        throw PolicyError(
          .invalidParameter, "invalid target", text.text,
          hint: "Accepted: *, schema.*, schema.table, schema.table.column, label:pii.*.")
      }
      targets.append(target)
    }
    return targets
  }
}

extension ObjectPattern {
  /// Whether an exemption for this is one for the column of the relation.
  func covers(_ relation: ObjectFacts, column: Int16) -> Bool {
    switch kind {
    case .everything:
      return true
    case .schema:
      if oid != 0 { return relation.schema == oid }
      return relation.name.schema(isItself: false)?.elementsEqual(name) ?? false
    case .relation:
      return isRelation(relation) || isAncestor(of: relation)
    case .column where isRelation(relation) && self.column != 0:
      return column == self.column
    case .column:
      guard isRelation(relation) || isAncestor(of: relation) else { return false }
      return relation.column(named: columnName) == column
    case .label:
      for entry in relation.labels where entry.column == column && ColumnLabel.isSelected(entry.label, by: name) {
        return true
      }
      return false
    case .function, .database:
      return false
    }
  }

  private func isRelation(_ relation: ObjectFacts) -> Bool {
    oid != 0 ? relation.oid == oid : relation.name.elementsEqual(name)
  }

  private func isAncestor(of relation: ObjectFacts) -> Bool {
    guard oid != 0 else { return false }
    for ancestor in relation.ancestors where ancestor == oid { return true }
    return false
  }
}
