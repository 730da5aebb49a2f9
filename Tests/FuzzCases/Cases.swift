import Contract

/// Calls the core with facts made of these bytes. Returns what it did that the contract rules out; a trap ends the process.
public func runFuzzCase(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
  var choices = Choices(bytes, memory: LentMemory())
  switch choices.below(6) {
  case 0: return decides(&choices)
  case 1: return checksRows(&choices)
  case 2: return masks(&choices)
  case 3: return passesRecords(&choices)
  case 4: return decodes(&choices)
  default: return writesTexts(&choices)
  }
}

/// Nothing beyond its buffer, and an error that can be raised.
private func complaint(_ what: String, _ buffer: WardenBuffer, _ verdict: WardenVerdict, isRefused: Bool) -> String? {
  let room = UInt(bitPattern: buffer.bytes)..<UInt(bitPattern: buffer.bytes) + UInt(buffer.capacity)
  for text in [verdict.guard, verdict.message, verdict.detail, verdict.hint] {
    guard let bytes = text.bytes else { continue }
    let start = UInt(bitPattern: bytes)
    guard text.length >= 0, start >= room.lowerBound, start + UInt(text.length) <= room.upperBound else {
      return "\(what): a text is outside of the buffer"
    }
  }
  guard isRefused else { return nil }
  let state = withUnsafeBytes(of: verdict.sqlstate) { Array($0) }
  guard state.prefix(5).allSatisfy({ $0 >= 48 && $0 <= 90 }), state[5] == 0 else { return "\(what): no SQLSTATE" }
  return verdict.message.bytes == nil ? "\(what): an error without a message" : nil
}

// MARK: - Policies

private func loads(_ choices: inout Choices) -> String? {
  var verdict = WardenVerdict()
  warden_policy_begin()
  for _ in 0..<choices.below(6) {
    var texts = choices.memory.buffer(choices.below(256) << 2)
    let isValid: Bool
    if choices.below(4) == 0 {
      var row = choices.exemption()
      isValid = warden_policy_add_exemption(&row, &texts, &verdict)
    } else {
      var row = choices.guardRow()
      isValid = warden_policy_add_guard(&row, &texts, &verdict)
    }
    if let wrong = complaint("add", texts, verdict, isRefused: !isValid) { return wrong }
  }
  for _ in 0..<choices.below(4) { _ = warden_policy_add_label(choices.text()) }
  if choices.below(16) == 0 { warden_policy_discard() } else { warden_policy_commit() }
  _ = warden_policy_classes()
  return nil
}

private func decides(_ choices: inout Choices) -> String? {
  if let wrong = loads(&choices) { return wrong }
  repeat {
    var session = choices.session()
    var statement = choices.statement()
    var texts = choices.memory.buffer(choices.bool() ? 4096 : choices.below(256))
    var verdict = WardenVerdict()
    warden_decide(&session, &statement, &texts, &verdict)
    let isRefused = verdict.action == WARDEN_ACTION_BLOCK || verdict.action == WARDEN_ACTION_REQUIRE_APPROVAL
    if let wrong = complaint("decide", texts, verdict, isRefused: isRefused) { return wrong }
    if isRefused && session.mode == WARDEN_MODE_ENFORCE && verdict.decision == WARDEN_DECISION_ALLOWED {
      return "decide: refused and recorded as allowed"
    }
    if let wrong = seesMasks(&choices, session) { return wrong }
  } while !choices.isAtEnd
  return nil
}

private func seesMasks(_ choices: inout Choices, _ session: WardenSession) -> String? {
  var session = session
  var object = choices.object()
  let columns = (0..<choices.below(6)).map { _ in choices.column() }
  let masked = choices.memory.list([Bool](repeating: false, count: columns.count))
  let total = warden_masked_columns(
    &session, &object, choices.bool(), choices.number(), choices.memory.list(columns), Int64(columns.count), masked)
  guard total == (0..<columns.count).filter({ masked[$0] }).count else { return "masked columns: a wrong number" }
  var texts = choices.memory.buffer(choices.below(256))
  var verdict = WardenVerdict()
  let why = WardenMaskedWrite(rawValue: UInt32(choices.below(4)))
  warden_masked_write(&object, choices.column(), why, choices.bool(), &texts, &verdict)
  return complaint("masked write", texts, verdict, isRefused: true)
}

private func checksRows(_ choices: inout Choices) -> String? {
  repeat {
    var row = choices.guardRow()
    var texts = choices.memory.buffer(choices.bool() ? 4096 : choices.below(256))
    var verdict = WardenVerdict()
    let isValid = warden_guard_check(&row, &texts, &verdict)
    if let wrong = complaint("guard check", texts, verdict, isRefused: !isValid) { return wrong }
    var exemption = choices.exemption()
    let isExemption = warden_exemption_check(&exemption, &texts, &verdict)
    if let wrong = complaint("exemption check", texts, verdict, isRefused: !isExemption) { return wrong }
    _ = warden_class_named(choices.text())
  } while !choices.isAtEnd
  return nil
}

private func masks(_ choices: inout Choices) -> String? {
  repeat {
    var definition = choices.mask()
    var expression = choices.memory.buffer(choices.bool() ? 4096 : choices.below(256))
    var method = choices.memory.buffer(choices.bool() ? 64 : choices.below(16))
    var texts = choices.memory.buffer(choices.bool() ? 4096 : choices.below(256))
    var verdict = WardenVerdict()
    let isValid = warden_mask_expression(&definition, &expression, &method, &texts, &verdict)
    if let wrong = complaint("mask", texts, verdict, isRefused: !isValid) { return wrong }
    guard expression.length <= expression.capacity, method.length <= method.capacity else { return "mask: too long" }
    let encoding = WardenEncoding(rawValue: UInt32(choices.below(4)))
    var out = choices.memory.buffer(choices.bool() ? 4096 : choices.below(256))
    warden_mask_partial(choices.text(), choices.int32(), choices.int32(), choices.text(), encoding, &out)
    guard out.length <= out.capacity else { return "partial: too long" }
    warden_mask_email(choices.text(), encoding, &out)
    guard out.length <= out.capacity else { return "email: too long" }
  } while !choices.isAtEnd
  return nil
}

// MARK: - Texts

private func writesTexts(_ choices: inout Choices) -> String? {
  repeat {
    var out = choices.memory.buffer(choices.bool() ? 8192 : choices.below(256))
    warden_statement_tags(choices.text(), &out)
    guard out.length <= out.capacity else { return "tags: too long" }
    var row = auditRow(&choices)
    _ = warden_row_canonical(&row, &out)
    guard out.length <= out.capacity else { return "row: too long" }
    var context = WardenAuditContext()
    _ = warden_context_decode(choices.text(), &context)
    _ = warden_context_canonical(&context, &out)
    guard out.length <= out.capacity else { return "context: too long" }
    var shape = WardenAuditShape()
    shape.statement_hash = choices.unsigned()
    for field in shapeTexts { shape[keyPath: field] = choices.text() }
    _ = warden_shape_canonical(&shape, &out)
    guard out.length <= out.capacity else { return "shape: too long" }
  } while !choices.isAtEnd
  return nil
}

private var shapeTexts: [WritableKeyPath<WardenAuditShape, WardenText>] {
  [\.statement_class, \.command, \.decision, \.guard, \.access, \.statement]
}

private func auditRow(_ choices: inout Choices) -> WardenAuditRow {
  var row = WardenAuditRow()
  let numbers: [WritableKeyPath<WardenAuditRow, UInt64>] = [
    \.seq, \.session, \.statement_no, \.last_statement_no, \.parent_no, \.transaction, \.statement_hash,
  ]
  for field in numbers { row[keyPath: field] = choices.unsigned() }
  let signed: [WritableKeyPath<WardenAuditRow, Int64>] = [\.at, \.request_id, \.rows, \.bytes, \.duration]
  for field in signed { row[keyPath: field] = choices.number() }
  let texts: [WritableKeyPath<WardenAuditRow, WardenText>] = [
    \.sqlstate, \.error, \.statement, \.parameters, \.access, \.context_digest, \.shape_digest, \.context,
    \.access_list,
    \.statement_class, \.command, \.decision, \.guard,
  ]
  for field in texts { row[keyPath: field] = choices.text() }
  row.event = choices.byte()
  row.outcome = choices.byte()
  return row
}
