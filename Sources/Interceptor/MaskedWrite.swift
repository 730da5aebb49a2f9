import Contract

/// Why a change of a masked relation is refused to those who see masks.
enum MaskedWrite {
  /// The refusal (42501). `relation` nil: the session may not see what it is; `column` 0: its whole row.
  static func refusal(_ why: WardenMaskedWrite, _ relation: ObjectFacts?, column: Int16) -> Verdict {
    let name = relation.flatMap { Self.name($0, column) }
    switch why {
    case WARDEN_MASKED_WRITE_CONFLICT: return conflict(name)
    case WARDEN_MASKED_WRITE_STORES: return stores(name)
    default: return reads(name, relation)
    }
  }

  private static func name(_ relation: ObjectFacts, _ column: Int16) -> [UInt8]? {
    guard let columnName = relation.columnName(column) else { return nil }
    return relation.name.text.copy + [46] + columnName.copy
  }

  private static func reads(_ name: [UInt8]?, _ relation: ObjectFacts?) -> Verdict {
    let message: Message
    if let name {
      message = Message("reading the masked column %1$s to change data is blocked", name)
    } else if let relation {
      message = Message("reading the masked columns of %1$s to change data is blocked", relation.name.text.copy)
    } else {
      message = Message("reading masked columns of a table that you may not see to change data is blocked")
    }
    return Verdict(
      refusedBy: nil, .insufficientPrivilege, message,
      detail: Message(
        "Conditions, new values and conflicts are decided by real values; their outcome would tell them."),
      hint: Message(
        """
        Leave the column out of conditions and new values, or ask a member of warden_admin for an exemption: \
        warden.exempt(subjects, targets).
        """))
  }

  private static func conflict(_ name: [UInt8]?) -> Verdict {
    Verdict(
      refusedBy: nil, .insufficientPrivilege,
      name.map { Message("ON CONFLICT over the masked column %1$s is blocked", $0) }
        ?? Message("ON CONFLICT over masked columns of a table that you may not see is blocked"),
      detail: Message("Whether there is a conflict would tell which real values exist."),
      hint: Message(
        """
        Name columns that are not masked in ON CONFLICT, or leave it out; or ask a member of warden_admin for an \
        exemption: warden.exempt(subjects, targets).
        """))
  }

  private static func stores(_ name: [UInt8]?) -> Verdict {
    Verdict(
      refusedBy: nil, .insufficientPrivilege,
      name.map { Message("storing a masked value in the masked column %1$s is blocked", $0) }
        ?? Message("storing masked values in a table that you may not see is blocked"),
      detail: Message("The new value comes from a column that this session sees masked; the real one would be lost."),
      hint: Message(
        """
        Leave the column out of the UPDATE, or ask a member of warden_admin for an exemption: \
        warden.exempt(subjects, targets).
        """))
  }
}
