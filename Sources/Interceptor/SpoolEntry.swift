// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Contract

// What C calls of the spool. Nothing is decided here: each function turns C's arguments into views that check their
// bounds, and back.

/// Encodes what the audit says of the session.
@c @implementation
public func warden_context_encode(_ session: UnsafePointer<WardenSession>, _ out: UnsafeMutablePointer<WardenBuffer>) {
  var writer = unsafe ByteWriter(out)
  unsafe SessionContext(session.pointee).encode(into: &writer)
  unsafe writer.finish(out)
}

/// Encodes what records say of an object.
@c @implementation
public func warden_object_encode(_ object: UnsafePointer<WardenObject>, _ out: UnsafeMutablePointer<WardenBuffer>) {
  var writer = unsafe ByteWriter(out)
  let none = unsafe WardenText(bytes: nil, length: 0)
  var access = unsafe WardenAccess(
    object: object, classes: 0, read_columns: nil, read_count: 0, written_columns: nil, written_count: 0,
    masked_columns: nil, masked_count: 0, via: none, hidden: false, root: none, chain: none, chain_hidden: false,
    inserted_columns: nil, inserted_count: 0, updated_columns: nil, updated_count: 0, after: nil)
  unsafe withUnsafePointer(to: &access) { unsafe AccessList.encodeObject(AccessView($0), into: &writer) }
  unsafe writer.finish(out)
}

/// Appends a record to the ring of this backend.
@c @implementation
public func warden_ring_append(
  _ ring: UnsafeMutablePointer<WardenRing>, _ data: UnsafeMutablePointer<UInt8>,
  _ counter: UnsafeMutablePointer<UInt64>, _ record: UnsafePointer<WardenRecord>
) -> Int64 {
  guard let memory = unsafe RingMemory(ring, data) else { return WARDEN_RING_DAMAGED }
  return unsafe RingProducer(memory.startingOver()).append(record, counter: counter)
}

/// Notes the end of a statement in its record.
@c @implementation
public func warden_ring_complete(
  _ ring: UnsafeMutablePointer<WardenRing>, _ data: UnsafeMutablePointer<UInt8>, _ position: Int64,
  _ completion: UnsafePointer<WardenCompletion>, _ outcome: WardenOutcome
) -> Bool {
  guard position >= 0, let memory = unsafe RingMemory(ring, data) else { return false }
  return unsafe RingProducer(memory).complete(UInt64(bitPattern: position), completion, outcome)
}

/// Notes the outcome of a transaction or subtransaction in the records of its statements.
@c @implementation
public func warden_ring_resolve(
  _ ring: UnsafeMutablePointer<WardenRing>, _ data: UnsafeMutablePointer<UInt8>, _ position: Int64, _ first: UInt64,
  _ subtransaction: UInt32, _ outcome: WardenOutcome, _ goesOn: Bool,
  _ unresolved: UnsafeMutablePointer<WardenUnresolved>
) {
  unsafe unresolved.pointee = WardenUnresolved(first: 0, last: 0)
  guard outcome != WARDEN_OUTCOME_OPEN, let memory = unsafe RingMemory(ring, data) else { return }
  let from = UInt64(bitPattern: max(position, 0))
  let range = RingProducer(memory).resolve(
    from: from, first: first, subtransaction: subtransaction, outcome: outcome, goesOn: goesOn)
  unsafe unresolved.pointee = WardenUnresolved(first: range.first, last: range.last)
}

/// Finds the records of all rings in the order of their numbers.
@c @implementation
public func warden_drain_collect(
  _ rings: UnsafePointer<WardenRingRef>, _ ringCount: Int64, _ firstSeq: UInt64,
  _ records: UnsafeMutablePointer<UnsafePointer<UInt8>?>, _ capacity: Int64,
  _ collected: UnsafeMutablePointer<WardenCollected>
) {
  let list = unsafe RingList(rings, count: ringCount)
  var consumer = unsafe RingConsumer(list, firstSeq: firstSeq, records: records, capacity: capacity)
  unsafe collected.pointee = consumer.collect()
}

/// Frees the room of the records that are in the table.
@c @implementation
public func warden_drain_release(_ rings: UnsafePointer<WardenRingRef>, _ ringCount: Int64, _ lastSeq: UInt64) {
  unsafe RingConsumer.release(RingList(rings, count: ringCount), upTo: lastSeq)
}

/// Finds the oldest record of a ring that is not in the table.
@c @implementation
public func warden_ring_waiting(
  _ ring: UnsafeMutablePointer<WardenRing>, _ data: UnsafeMutablePointer<UInt8>, _ lastSeq: UInt64,
  _ waiting: UnsafeMutablePointer<WardenWaiting>
) -> Bool {
  guard let memory = unsafe RingMemory(ring, data), let found = RingConsumer.waiting(memory, after: lastSeq)
  else { return false }
  unsafe waiting.pointee = found
  return true
}

/// Turns a record into a row of the audit table.
@c @implementation
public func warden_record_decode(
  _ record: UnsafePointer<UInt8>, _ length: Int64, _ scratch: UnsafeMutablePointer<WardenBuffer>,
  _ row: UnsafeMutablePointer<WardenAuditRow>
) -> Bool {
  let writer = unsafe ByteWriter(scratch)
  guard let decoder = unsafe RecordDecoder(ByteView(record, count: length)),
    let decoded = unsafe decoder.row(scratch: writer)
  else { return false }
  unsafe row.pointee = decoded.row
  unsafe scratch.pointee.length = Int64(decoded.scratch)
  return true
}

/// Tells what is in a record's context.
@c @implementation
public func warden_context_decode(_ encoded: WardenText, _ context: UnsafeMutablePointer<WardenAuditContext>) -> Bool {
  unsafe context.pointee = WardenAuditContext()
  guard let decoded = unsafe SessionContext(encoded: ByteView(encoded)) else { return false }
  unsafe decoded.fill(&context.pointee)
  return true
}

/// Writes an access list as JSON.
@c @implementation
public func warden_access_json(_ list: WardenText, _ out: UnsafeMutablePointer<WardenBuffer>) {
  var json = unsafe AccessJSON(writer: ByteWriter(out))
  let written = unsafe json.write(ByteView(list))
  unsafe out.pointee.length = Int64(written.count)
}

/// Writes what NOTIFY tells of an alert.
@c @implementation
public func warden_alert_json(
  _ row: UnsafePointer<WardenAuditRow>, _ out: UnsafeMutablePointer<WardenBuffer>
) -> Bool {
  var json = unsafe AlertJSON(writer: ByteWriter(out))
  let length = unsafe json.write(row.pointee)
  unsafe out.pointee.length = Int64(length ?? 0)
  return length != nil
}

/// Writes the bytes of a row that are hashed.
@c @implementation
public func warden_row_canonical(
  _ row: UnsafePointer<WardenAuditRow>, _ out: UnsafeMutablePointer<WardenBuffer>
) -> Bool {
  var canonical = unsafe CanonicalRow(writer: ByteWriter(out))
  guard let length = unsafe canonical.write(row.pointee) else { return false }
  unsafe out.pointee.length = Int64(length)
  return true
}

/// Writes the bytes of a context that are hashed.
@c @implementation
public func warden_context_canonical(
  _ context: UnsafePointer<WardenAuditContext>, _ out: UnsafeMutablePointer<WardenBuffer>
) -> Bool {
  var canonical = unsafe CanonicalRow(writer: ByteWriter(out))
  guard let length = unsafe canonical.write(context.pointee) else { return false }
  unsafe out.pointee.length = Int64(length)
  return true
}

/// Writes the bytes of a shape that are hashed.
@c @implementation
public func warden_shape_canonical(
  _ shape: UnsafePointer<WardenAuditShape>, _ out: UnsafeMutablePointer<WardenBuffer>
) -> Bool {
  var canonical = unsafe CanonicalRow(writer: ByteWriter(out))
  guard let length = unsafe canonical.write(shape.pointee) else { return false }
  unsafe out.pointee.length = Int64(length)
  return true
}
