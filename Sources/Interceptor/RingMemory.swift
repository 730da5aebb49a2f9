import Contract

/// A ring whose header has been found to make sense, as it was at that moment.
///
/// The header lies in a mapped file, so it may say anything. All addresses are computed here, from numbers that were
/// checked here and are kept here: nothing is read twice.
@safe struct RingMemory {
  private let header: UnsafeMutableRawPointer
  private let data: UnsafeMutableRawPointer
  let capacity: UInt64
  let head: UInt64
  let tail: UInt64

  /// As in WardenRing; contract.c and the tests pin them down.
  private enum Offset {
    static let capacity = 0
    static let head = 64
    static let writing = 72
    static let lastStatement = 88
    static let lastSeq = 104
    static let withheld = 112
    static let tail = 128
  }

  static let smallestCapacity: UInt64 = 64 << 10
  static let largestCapacity: UInt64 = 1 << 40

  /// nil where the header contradicts itself.
  @inline(__always)
  init?(_ ring: UnsafeMutablePointer<WardenRing>, _ data: UnsafeMutablePointer<UInt8>) {
    let header = UnsafeMutableRawPointer(ring)
    unsafe self.header = header
    unsafe self.data = UnsafeMutableRawPointer(data)
    capacity = unsafe header.load(fromByteOffset: Offset.capacity, as: UInt64.self)
    // tail first: read the other way round, a tail could be seen that is ahead of the head seen.
    tail = unsafe Self.acquire(header + Offset.tail)
    head = unsafe Self.acquire(header + Offset.head)
    let isAligned = UInt(bitPattern: data) & 7 == 0
    guard isAligned, capacity >= Self.smallestCapacity, capacity <= Self.largestCapacity else { return nil }
    guard (capacity | head | tail) & 7 == 0, head < 1 << 62, tail <= head, head &- tail <= capacity else { return nil }
  }

  private init(_ ring: RingMemory, emptyAt position: UInt64) {
    unsafe header = ring.header
    unsafe data = ring.data
    capacity = ring.capacity
    head = position
    tail = position
  }

  var used: UInt64 { head &- tail }

  /// As much of a ring as stays in a processor's cache.
  static let warmPart: UInt64 = 128 << 10

  /// The producer's: an empty ring begins again at its first byte, so that sessions with little to record stay in memory
  /// that is warm, and touch no more of it than they need. The rest of the lap becomes a pad. Nobody but the consumer
  /// moves `tail`, with this one exception: only the pad lies between, so both would move it to the same place.
  @inline(__always)
  func startingOver() -> RingMemory {
    guard used == 0, head % capacity > Self.warmPart else { return self }
    let next = head &+ contiguous(at: head)
    writePad(upTo: next)
    unsafe warden_store_release(Self.word(header + Offset.head), next)
    release(upTo: next)
    return RingMemory(self, emptyAt: next)
  }

  /// From `head` on.
  func writePad(upTo position: UInt64) {
    let length = position &- head
    let pad = writer(at: head, length: length)
    pad.store(UInt32(truncatingIfNeeded: length), at: RecordLayout.length)
    pad.store(RecordLayout.padKind, at: RecordLayout.kind)
  }

  /// How many bytes follow `position` without a wrap.
  @inline(__always)
  func contiguous(at position: UInt64) -> UInt64 { capacity &- position % capacity }

  /// What begins at `position`; nil where there is nothing, or nothing that makes sense.
  @inline(__always)
  func slot(at position: UInt64) -> RingSlot? {
    guard position & 7 == 0, position >= tail, position < head else { return nil }
    let offset = position % capacity
    let start = unsafe data + Int(truncatingIfNeeded: offset)
    let length = UInt64(unsafe start.load(fromByteOffset: RecordLayout.length, as: UInt32.self))
    guard length & 7 == 0, length >= 8, length <= capacity &- offset, length <= head &- position else { return nil }
    let slot = unsafe RingSlot(start, length: Int(truncatingIfNeeded: length))
    return slot.isSound(at: position, upToEnd: length == capacity &- offset) ? slot : nil
  }

  /// The first record or pad at `position` or behind it. Bytes that make no sense, as a loss of power leaves them where a page
  /// did not arrive, are passed over: a record knows its own position, so that it cannot be taken for another.
  @inline(__always)
  func nextSlot(from position: UInt64) -> (slot: RingSlot, position: UInt64)? {
    var position = position
    while position < head {
      if let slot = slot(at: position) { return (slot, position) }
      position &+= 8
    }
    return nil
  }

  /// Memory for a new record at `position`, which the caller has found to be free.
  @inline(__always)
  func writer(at position: UInt64, length: UInt64) -> ByteWriter {
    let offset = position % capacity
    let room = min(length, capacity &- offset)
    return unsafe ByteWriter(data + Int(truncatingIfNeeded: offset), capacity: Int(truncatingIfNeeded: room))
  }

  // The producer's words.

  @inline(__always)
  func beginWriting() { unsafe warden_store_release(Self.word(header + Offset.writing), 1) }

  /// Publishes everything written so far up to `newHead`.
  @inline(__always)
  func publish(_ newHead: UInt64) {
    unsafe warden_store_release(Self.word(header + Offset.head), newHead)
    unsafe warden_store_release(Self.word(header + Offset.writing), 0)
  }

  func note(withheld: UInt64) {
    unsafe header.storeBytes(of: withheld, toByteOffset: Offset.withheld, as: UInt64.self)
  }

  func note(seq: UInt64) { unsafe header.storeBytes(of: seq, toByteOffset: Offset.lastSeq, as: UInt64.self) }

  var lastStatement: UInt64 {
    get { unsafe header.load(fromByteOffset: Offset.lastStatement, as: UInt64.self) }
    nonmutating set { unsafe header.storeBytes(of: newValue, toByteOffset: Offset.lastStatement, as: UInt64.self) }
  }

  // The consumer's word.

  func release(upTo newTail: UInt64) { unsafe warden_store_release(Self.word(header + Offset.tail), newTail) }

  /// Nobody has freed room since this view was made: what lies from `tail` to `head` is still what it was.
  var isCurrent: Bool { unsafe Self.acquire(header + Offset.tail) == tail }

  /// Nothing is done where not even head makes sense.
  @unsafe fileprivate static func abandon(_ ring: UnsafeMutablePointer<WardenRing>) {
    let header = UnsafeMutableRawPointer(ring)
    let head = unsafe acquire(header + Offset.head)
    guard head & 7 == 0, head < 1 << 62 else { return }
    unsafe warden_store_release(word(header + Offset.tail), head)
  }

  @unsafe private static func word(_ address: UnsafeMutableRawPointer) -> UnsafeMutablePointer<UInt64> {
    unsafe address.assumingMemoryBound(to: UInt64.self)
  }

  @unsafe private static func acquire(_ address: UnsafeMutableRawPointer) -> UInt64 {
    unsafe warden_load_acquire(word(address))
  }
}

/// The rings that C hands to the writer.
@safe struct RingList {
  private let references: Lent<WardenRingRef>
  let count: Int

  init(_ references: UnsafePointer<WardenRingRef>, count: Int64) {
    unsafe self.references = Lent(references, count: count)
    self.count = unsafe self.references.count
  }

  /// nil where its header contradicts itself.
  func ring(at index: Int) -> RingMemory? {
    guard let reference = unsafe references.element(at: index) else { return nil }
    return unsafe RingMemory(reference.ring, reference.data)
  }

  /// For a header that contradicts itself: what is between tail and head is lost, the ring is usable again.
  func abandon(at index: Int) {
    guard let reference = unsafe references.element(at: index) else { return }
    unsafe RingMemory.abandon(reference.ring)
  }
}

/// A published record, or a pad.
@safe struct RingSlot {
  private let start: UnsafeMutableRawPointer
  let length: Int

  @inline(__always)
  fileprivate init(_ start: UnsafeMutableRawPointer, length: Int) {
    unsafe self.start = start
    self.length = length
  }

  /// A record whose address `address` gave.
  @unsafe init(placedAt address: UnsafePointer<UInt8>) {
    let start = unsafe UnsafeMutableRawPointer(mutating: address)
    let length = unsafe start.load(fromByteOffset: RecordLayout.length, as: UInt32.self)
    unsafe self.init(start, length: Int(length))
  }

  @inline(__always)
  fileprivate func isSound(at position: UInt64, upToEnd: Bool) -> Bool {
    let kind = unsafe start.load(fromByteOffset: RecordLayout.kind, as: UInt32.self)
    if kind == RecordLayout.padKind { return upToEnd }
    guard kind == RecordLayout.recordKind, length >= RecordLayout.smallest else { return false }
    let trailer = unsafe start.load(fromByteOffset: length &- RecordLayout.trailerSize, as: UInt64.self)
    let written = unsafe start.load(fromByteOffset: RecordLayout.position, as: UInt64.self)
    return written == position && trailer == seq
  }

  var isPad: Bool {
    unsafe start.load(fromByteOffset: RecordLayout.kind, as: UInt32.self) == RecordLayout.padKind
  }

  /// Its address as C takes it.
  @unsafe var address: UnsafePointer<UInt8> {
    unsafe UnsafePointer(start.assumingMemoryBound(to: UInt8.self))
  }

  var seq: UInt64 { unsafe start.load(fromByteOffset: RecordLayout.seq, as: UInt64.self) }

  var at: Int64 { unsafe start.load(fromByteOffset: RecordLayout.at, as: Int64.self) }

  var statementNo: UInt64 { unsafe start.load(fromByteOffset: RecordLayout.statementNo, as: UInt64.self) }

  /// It has a statement number of its own: a statement, or an event that counts as one. Amendments have others'.
  var isNumbered: Bool {
    let event = unsafe start.load(fromByteOffset: RecordLayout.event, as: UInt8.self)
    return UInt32(event) != WARDEN_EVENT_TRANSACTION.rawValue && statementNo != 0
  }

  var subtransaction: UInt32 { unsafe start.load(fromByteOffset: RecordLayout.subtransaction, as: UInt32.self) }

  var flags: UInt16 { unsafe start.load(fromByteOffset: RecordLayout.flags, as: UInt16.self) }

  @inline(__always)
  var state: UInt32 { unsafe warden_load_acquire32(stateWord) }

  /// False where the state is not `expected` any more.
  @inline(__always)
  func exchange(_ expected: UInt32, _ desired: UInt32) -> Bool {
    unsafe warden_compare_exchange(stateWord, expected, desired)
  }

  /// Sets one bit; true once it is set. The other side changes the word a few times in a record's life, so a few
  /// attempts are enough.
  @discardableResult
  func set(_ bit: UInt32) -> Bool {
    for _ in 0..<8 {
      let state = state
      if state & bit != 0 || exchange(state, state | bit) { return true }
    }
    return false
  }

  /// From now on the producer tells what happens to it by an amendment, unless there is nothing more to tell.
  func take() {
    for _ in 0..<8 {
      let state = state
      if state & (RecordState.final | RecordState.taken) != 0 { return }
      if exchange(state, state | RecordState.taken) { return }
    }
  }

  /// The fixed part, where the completion goes.
  var fixedPart: ByteWriter { unsafe ByteWriter(start, capacity: min(length, RecordLayout.variable)) }

  private var stateWord: UnsafeMutablePointer<UInt32> {
    unsafe (start + RecordLayout.state).assumingMemoryBound(to: UInt32.self)
  }
}
