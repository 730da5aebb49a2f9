import Contract

/// The backend's side of a ring; warden_spool.h has the protocol.
struct RingProducer {
  private let ring: RingMemory

  /// Room that only amendments may use.
  private static let reserve: UInt64 = 4096

  @inline(__always)
  init(_ ring: RingMemory) { self.ring = ring }

  /// - Returns: the record's position, or WARDEN_RING_FULL; then no number has been taken.
  @unsafe @inline(__always)
  func append(_ record: UnsafePointer<WardenRecord>, counter: UnsafeMutablePointer<UInt64>) -> Int64 {
    let limit = ring.capacity / 4
    let contiguous = ring.contiguous(at: ring.head)
    var encoder = unsafe RecordEncoder(record, limit: limit)
    if !hasRoom(for: encoder, contiguous) {
      // An outcome always finds room, if need be without the session's context.
      guard encoder.isAmendment else { return WARDEN_RING_FULL }
      encoder = unsafe RecordEncoder(record, limit: limit, withContext: false)
      guard hasRoom(for: encoder, contiguous) else { return WARDEN_RING_FULL }
    }
    let position = ring.head &+ padding(for: encoder, contiguous)
    // The reader takes a missing number for lost unless someone is writing: `writing` has to be seen first.
    ring.beginWriting()
    let seq = unsafe warden_fetch_add(counter, 1)
    if position != ring.head { ring.writePad(upTo: position) }
    let memory = ring.writer(at: position, length: UInt64(truncatingIfNeeded: encoder.bound))
    let length = encoder.write(into: memory, position: position, seq: seq)
    unsafe noteStatement(record)
    ring.note(seq: seq)
    ring.note(withheld: UInt64(encoder.flags & RecordLayout.leavesOut))
    ring.publish(position &+ UInt64(truncatingIfNeeded: length))
    return Int64(truncatingIfNeeded: position)
  }

  /// False where the consumer has the record already.
  @unsafe @inline(__always)
  func complete(_ position: UInt64, _ completion: UnsafePointer<WardenCompletion>, _ outcome: WardenOutcome) -> Bool {
    guard let slot = ring.slot(at: position), !slot.isPad else { return false }
    let failed = unsafe completion.pointee.sqlstate.0 != 0 && outcome == WARDEN_OUTCOME_OPEN
    let outcome = failed ? WARDEN_OUTCOME_FAILED : outcome
    let isFinal = outcome != WARDEN_OUTCOME_OPEN
    guard reopen(slot) else {
      let isTaken = slot.state & RecordState.taken != 0
      if isTaken && isFinal { slot.set(RecordState.amended) }
      return !isTaken
    }
    unsafe RecordCompletion.write(completion.pointee, flags: slot.flags, into: slot.fixedPart)
    let state = isFinal ? RecordState.final(outcome.rawValue, RecordState.completed) : RecordState.completed
    return slot.exchange(0, state)
  }

  /// Makes a COMPLETE record OPEN again: the consumer does not read the completion of an open one, so that it can be
  /// written once more. False where the record is final or taken.
  @inline(__always)
  private func reopen(_ slot: RingSlot) -> Bool {
    let state = slot.state
    if state == 0 { return true }
    return state == RecordState.completed && slot.exchange(state, 0)
  }

  /// A transaction or subtransaction has ended; see warden_ring_resolve.
  @inline(__always)
  func resolve(
    from position: UInt64, first: UInt64, subtransaction: UInt32, outcome: WardenOutcome, goesOn: Bool
  ) -> UnresolvedRange {
    var unresolved = UnresolvedRange()
    var hasSeenStatement = false
    var next = max(position, ring.tail)
    let areSomeGone = position < ring.tail && first > 0
    while let (slot, found) = ring.nextSlot(from: next) {
      next = found &+ UInt64(truncatingIfNeeded: slot.length)
      if slot.isPad { continue }
      if areSomeGone, !hasSeenStatement, slot.isNumbered {
        hasSeenStatement = true
        unresolved.add(from: first, to: slot.statementNo &- 1)
      }
      guard slot.subtransaction >= subtransaction else { continue }
      // Of a statement that ended the transaction and goes on, nothing is decided yet.
      if goesOn, slot.state == 0 || slot.statementNo < first { continue }
      if Self.finish(slot, outcome), slot.statementNo >= first {
        unresolved.add(from: slot.statementNo, to: slot.statementNo)
      }
    }
    if areSomeGone, !hasSeenStatement { unresolved.add(from: first, to: max(first, ring.lastStatement)) }
    return unresolved
  }

  /// True where the record has been taken with its outcome open and no amendment tells it yet.
  @inline(__always)
  private static func finish(_ slot: RingSlot, _ outcome: WardenOutcome) -> Bool {
    // The consumer can come between once: when it takes the record.
    for _ in 0..<4 {
      let state = slot.state
      if state & RecordState.final != 0 { return false }
      if state & RecordState.taken != 0 {
        if state & RecordState.amended != 0 { return false }
        slot.set(RecordState.amended)
        return true
      }
      let isOpen = state & RecordState.completed == 0
      let isFailed = isOpen && outcome == WARDEN_OUTCOME_ROLLED_BACK
      let final = isFailed ? WARDEN_OUTCOME_FAILED : outcome
      if slot.exchange(state, RecordState.final(final.rawValue, state & RecordState.completed)) { return false }
    }
    return false
  }

  /// Bytes from head on that a record does not fit into because the ring ends.
  @inline(__always)
  private func padding(for encoder: RecordEncoder, _ contiguous: UInt64) -> UInt64 {
    UInt64(truncatingIfNeeded: encoder.bound) <= contiguous ? 0 : contiguous
  }

  @inline(__always)
  private func hasRoom(for encoder: RecordEncoder, _ contiguous: UInt64) -> Bool {
    let needed = padding(for: encoder, contiguous) &+ UInt64(truncatingIfNeeded: encoder.bound)
    let kept = encoder.isAmendment ? 0 : Self.reserve
    return ring.used &+ needed &+ kept <= ring.capacity
  }

  /// For whoever finishes the ring when this process is gone.
  @unsafe @inline(__always)
  private func noteStatement(_ record: UnsafePointer<WardenRecord>) {
    let number = unsafe record.pointee.statement_no
    guard number != 0, unsafe record.pointee.event != WARDEN_EVENT_TRANSACTION else { return }
    ring.lastStatement = number
  }
}

/// Numbers of statements, from first to last; first == 0: none.
struct UnresolvedRange {
  private(set) var first: UInt64 = 0
  private(set) var last: UInt64 = 0

  mutating func add(from lower: UInt64, to upper: UInt64) {
    guard lower > 0, upper >= lower else { return }
    first = first == 0 ? lower : min(first, lower)
    last = max(last, upper)
  }
}
