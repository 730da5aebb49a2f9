import Contract

/// The writer's side: finds the records of all rings in the order of their numbers, and frees their room.
@safe struct RingConsumer {
  private let rings: RingList
  private let records: UnsafeMutablePointer<UnsafePointer<UInt8>?>
  private let capacity: Int
  private let firstSeq: UInt64
  /// The highest number seen; 0 = none.
  private var highest: UInt64 = 0
  private(set) var damaged: Int64 = 0

  init(
    _ rings: RingList, firstSeq: UInt64, records: UnsafeMutablePointer<UnsafePointer<UInt8>?>,
    capacity: Int64
  ) {
    self.rings = rings
    unsafe self.records = records
    self.capacity = max(Int(truncatingIfNeeded: capacity), 0)
    self.firstSeq = firstSeq
  }

  /// Linear in the records found: each has its place by its number.
  mutating func collect() -> WardenCollected {
    for index in 0..<capacity { unsafe records[index] = nil }
    for index in 0..<rings.count where !collect(index) { damaged &+= 1 }
    var ready = 0
    // Only what is handed out is taken: what is behind a hole may still become final in the ring.
    while ready < capacity, let record = unsafe records[ready] {
      unsafe RingSlot(placedAt: record).take()
      ready &+= 1
    }
    let next = firstSeq &+ UInt64(truncatingIfNeeded: ready)
    return WardenCollected(
      ready: Int64(ready), hole: ready < capacity && highest > next, damaged: damaged, highest: highest)
  }

  /// False where the ring has bytes that make no sense.
  private mutating func collect(_ index: Int) -> Bool {
    guard let ring = rings.ring(at: index) else { return false }
    var isSound = true
    var position = ring.tail
    var previous: UInt64 = 0
    while let (slot, found) = ring.nextSlot(from: position) {
      if found != position { isSound = false }
      position = found &+ UInt64(truncatingIfNeeded: slot.length)
      if slot.isPad { continue }
      // One producer takes its numbers one after the other.
      guard slot.seq >= previous, place(slot) else {
        isSound = false
        continue
      }
      previous = slot.seq
      // Nothing behind it can be wanted.
      if slot.seq >= firstSeq, slot.seq &- firstSeq >= UInt64(truncatingIfNeeded: capacity) { return isSound }
    }
    return isSound && position == ring.head
  }

  /// False where another record has its number.
  private mutating func place(_ slot: RingSlot) -> Bool {
    highest = max(highest, slot.seq)
    guard slot.seq >= firstSeq else { return true }
    let index = slot.seq &- firstSeq
    guard index < UInt64(truncatingIfNeeded: capacity) else { return true }
    let place = Int(truncatingIfNeeded: index)
    guard unsafe records[place] == nil else { return false }
    unsafe records[place] = slot.address
    return true
  }

  /// Frees the room of the records numbered up to `lastSeq`, and of bytes that make no sense.
  static func release(_ rings: RingList, upTo lastSeq: UInt64) {
    for index in 0..<rings.count {
      guard let ring = rings.ring(at: index) else {
        rings.abandon(at: index)
        continue
      }
      let position = released(ring, upTo: lastSeq)
      if position != ring.tail { ring.release(upTo: position) }
    }
  }

  /// The first record numbered above `lastSeq`; nil where there is none, or the ring moved on while it was looked at.
  static func waiting(_ ring: RingMemory, after lastSeq: UInt64) -> WardenWaiting? {
    var position = ring.tail
    while position < ring.head, let slot = ring.slot(at: position) {
      if !slot.isPad, slot.seq > lastSeq {
        let found = WardenWaiting(seq: slot.seq, at: slot.at)
        return ring.isCurrent ? found : nil
      }
      position &+= UInt64(truncatingIfNeeded: slot.length)
    }
    return nil
  }

  private static func released(_ ring: RingMemory, upTo lastSeq: UInt64) -> UInt64 {
    var position = ring.tail
    while let (slot, found) = ring.nextSlot(from: position) {
      if !slot.isPad {
        guard slot.seq <= lastSeq else { return found }
        slot.take()
      }
      position = found &+ UInt64(truncatingIfNeeded: slot.length)
    }
    return ring.head
  }
}
