import Contract

// The words for a guard that matches because of the number of rows.

extension Finding {
  /// TRUNCATE is refused before it begins: its rows are not counted.
  var isByRows: Bool { !isLoss && rule.maxRows >= 0 && classes & WARDEN_CLASS_TRUNCATE == 0 }

  /// In digits.
  var limit: [UInt8] { [UInt8](String(rule.maxRows).utf8) }

  func limitDetail(_ entry: Guard) -> Message {
    let statements = entry.statements.text
    return switch entry.action {
    case WARDEN_ACTION_ALERT:
      Message("Guard \"%1$s\" raises an alert for %2$s beyond a row limit of %3$s.", entry.name, statements, limit)
    case WARDEN_ACTION_REQUIRE_APPROVAL:
      Message("Guard \"%1$s\" requires approval for %2$s beyond a row limit of %3$s.", entry.name, statements, limit)
    default: Message("Guard \"%1$s\" blocks %2$s beyond a row limit of %3$s.", entry.name, statements, limit)
    }
  }

  func wayWithin() -> Message {
    guard classes & (WARDEN_CLASS_READ | WARDEN_CLASS_COPY_OUT) == 0 else {
      return Message(
        """
        Add a WHERE clause or a LIMIT: at most %1$s rows may be returned or stored elsewhere. Or ask a member of \
        warden_admin to change the guard, or use warden.break_glass(reason).
        """, limit)
    }
    return Message(
      """
      Nothing was changed. At most %1$s rows may be changed by one statement, those of cascades and triggers included. \
      Change fewer at a time, or ask a member of warden_admin to change the guard, or use warden.break_glass(reason).
      """, limit)
  }
}

extension RefusedAct {
  /// "DELETE on shop.orders is blocked: it exceeds the row limit of 100"
  func message(_ action: WardenAction, limit: [UInt8]) -> Message {
    guard let object = access?.object else { return message(ofNone: action, limit) }
    if access?.isHidden == true { return message(ofHidden: action, limit) }
    let name = name(object)
    return switch action {
    case WARDEN_ACTION_ALERT:
      Message("%1$s on %2$s raises an alert: it exceeds the row limit of %3$s", verb, name, limit)
    case WARDEN_ACTION_REQUIRE_APPROVAL:
      Message("%1$s on %2$s requires approval: it exceeds the row limit of %3$s", verb, name, limit)
    default: Message("%1$s on %2$s is blocked: it exceeds the row limit of %3$s", verb, name, limit)
    }
  }

  private func message(ofNone action: WardenAction, _ limit: [UInt8]) -> Message {
    switch action {
    case WARDEN_ACTION_ALERT:
      Message("%1$s raises an alert: it exceeds the row limit of %2$s", verb, limit)
    case WARDEN_ACTION_REQUIRE_APPROVAL:
      Message("%1$s requires approval: it exceeds the row limit of %2$s", verb, limit)
    default: Message("%1$s is blocked: it exceeds the row limit of %2$s", verb, limit)
    }
  }

  private func message(ofHidden action: WardenAction, _ limit: [UInt8]) -> Message {
    switch action {
    case WARDEN_ACTION_ALERT:
      Message("%1$s on an object that you may not see raises an alert: it exceeds the row limit of %2$s", verb, limit)
    case WARDEN_ACTION_REQUIRE_APPROVAL:
      Message("%1$s on an object that you may not see requires approval: it exceeds the row limit of %2$s", verb, limit)
    default:
      Message("%1$s on an object that you may not see is blocked: it exceeds the row limit of %2$s", verb, limit)
    }
  }
}
