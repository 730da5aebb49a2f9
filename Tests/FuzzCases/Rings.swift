import Contract

// The spool: records on their way through a ring, whose memory other processes can have written over.

private let capacity = 65536

/// Records are appended, completed, resolved, collected, released, in any order, and memory is damaged between.
func passesRecords(_ choices: inout Choices) -> String? {
  let ring = choices.memory.list([WardenRing()])
  ring.pointee.capacity = UInt64(capacity)
  let data = choices.memory.block(capacity, filledWith: choices.byte())
  let counter = choices.memory.list([UInt64(1)])
  var reference = WardenRingRef(ring: ring, data: data)
  var position: Int64 = 0
  repeat {
    switch choices.below(8) {
    case 0, 1:
      var record = choices.record()
      position = max(warden_ring_append(ring, data, counter, &record), 0)
    case 2:
      var completion = choices.completion()
      let outcome = WardenOutcome(rawValue: UInt32(choices.below(8)))
      _ = warden_ring_complete(ring, data, choices.bool() ? position : choices.number(), &completion, outcome)
    case 3:
      var unresolved = WardenUnresolved()
      warden_ring_resolve(
        ring, data, choices.bool() ? 0 : choices.number(), choices.unsigned(), choices.oid(),
        WardenOutcome(rawValue: UInt32(choices.below(8))), choices.bool(), &unresolved)
    case 4:
      if let wrong = collects(&choices, &reference) { return wrong }
    case 5:
      warden_drain_release(&reference, 1, choices.unsigned())
    case 6:
      var waiting = WardenWaiting()
      _ = warden_ring_waiting(ring, data, choices.unsigned(), &waiting)
    default:
      damage(&choices, ring, data)
    }
  } while !choices.isAtEnd
  return nil
}

/// Every record that is handed out can be read.
private func collects(_ choices: inout Choices, _ reference: inout WardenRingRef) -> String? {
  var records = [UnsafePointer<UInt8>?](repeating: nil, count: 64)
  var collected = WardenCollected()
  warden_drain_collect(&reference, 1, choices.bool() ? 1 : choices.unsigned(), &records, 64, &collected)
  guard collected.ready >= 0, collected.ready <= 64 else { return "collect: more than there is room for" }
  for index in 0..<Int(collected.ready) {
    guard let record = records[index], record >= UnsafePointer(reference.data) else { return "collect: no record" }
    let rest = capacity - (record - UnsafePointer(reference.data))
    guard rest > 0 else { return "collect: a record outside of the ring" }
    decode(&choices, record, Int64(rest))
  }
  return nil
}

private func decode(_ choices: inout Choices, _ record: UnsafePointer<UInt8>, _ length: Int64) {
  var row = WardenAuditRow()
  var scratch = choices.memory.buffer(choices.bool() ? 65536 : choices.below(256))
  guard warden_record_decode(record, length, &scratch, &row) else { return }
  var context = WardenAuditContext()
  _ = warden_context_decode(row.context, &context)
  var json = choices.memory.buffer(choices.bool() ? 65536 : choices.below(256))
  warden_access_json(row.access_list, &json)
  var canonical = choices.memory.buffer(choices.below(256) << 8)
  _ = warden_row_canonical(&row, &canonical)
}

/// Everything but the capacity, which C sets from its own knowledge.
private func damage(
  _ choices: inout Choices, _ ring: UnsafeMutablePointer<WardenRing>, _ data: UnsafeMutablePointer<UInt8>
) {
  switch choices.below(4) {
  case 0: ring.pointee.head = choices.unsigned()
  case 1: ring.pointee.tail = choices.unsigned()
  case 2:
    ring.pointee.transaction_first = choices.unsigned()
    ring.pointee.transaction_position = choices.unsigned()
    ring.pointee.last_statement = choices.unsigned()
    ring.pointee.writing = choices.unsigned()
    ring.pointee.state = choices.oid()
  default:
    let start = (choices.below(256) << 8 | choices.below(256)) % capacity >> choices.below(16)
    for offset in 0..<choices.below(64) where start + offset < capacity { data[start + offset] = choices.byte() }
  }
}

/// Bytes that never were a record, a context or a list of objects.
func decodes(_ choices: inout Choices) -> String? {
  repeat {
    let bytes = choices.text()
    if let start = bytes.bytes {
      decode(&choices, start, choices.bool() ? bytes.length : Int64(choices.below(Int(min(bytes.length, 255)) + 1)))
    }
    var out = choices.memory.buffer(choices.bool() ? 65536 : choices.below(256))
    warden_access_json(choices.text(), &out)
    guard out.length <= out.capacity else { return "json: too long" }
    var session = choices.session()
    warden_context_encode(&session, &out)
    guard out.length <= out.capacity else { return "context: too long" }
    var context = WardenAuditContext()
    let encoded = WardenText(bytes: out.bytes, length: out.length)
    guard warden_context_decode(encoded, &context) || out.capacity < 4096 else { return "context: not decoded" }
  } while !choices.isAtEnd
  return nil
}
