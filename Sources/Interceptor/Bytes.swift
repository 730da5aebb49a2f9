import Contract

/// Bytes that someone lends for the length of a call. Reads outside of them give 0, slices are clamped: what comes
/// from a user or from a file may say anything about lengths, and must never stop the server.
@safe struct ByteView {
  private let start: UnsafePointer<UInt8>?
  /// How many there are; none where the text is NULL or its length below 0.
  let count: Int

  @inline(__always)
  init(_ start: UnsafePointer<UInt8>?, count: Int64) {
    unsafe self.start = start
    let present = unsafe start != nil
    self.count = present ? max(Int(truncatingIfNeeded: count), 0) : 0
  }

  @inline(__always)
  init(_ text: WardenText) {
    unsafe self.init(text.bytes, count: text.length)
  }

  /// Text of the program's own; it lives as long as the program.
  init(_ literal: StaticString) {
    if literal.hasPointerRepresentation {
      unsafe self.init(literal.utf8Start, count: Int64(literal.utf8CodeUnitCount))
    } else {
      unsafe self.init(nil, count: 0)
    }
  }

  /// Lends an array's bytes for the length of `body`.
  static func lend<Result>(_ bytes: [UInt8], _ body: (ByteView) -> Result) -> Result {
    unsafe bytes.withUnsafeBufferPointer { buffer in
      body(unsafe ByteView(buffer.baseAddress, count: Int64(buffer.count)))
    }
  }

  /// The same bytes as a text of C's.
  var asText: TextView { unsafe TextView(text) }

  static var null: ByteView { unsafe ByteView(nil, count: 0) }

  /// SQL NULL, which is not the empty text.
  @inline(__always)
  var isNull: Bool { unsafe start == nil }

  /// The bytes as C takes them, valid as long as what they were made from.
  var text: WardenText { unsafe WardenText(bytes: start, length: Int64(count)) }

  @inline(__always)
  subscript(index: Int) -> UInt8 {
    guard UInt(bitPattern: index) < UInt(bitPattern: count), let start = unsafe start else { return 0 }
    return unsafe start[index]
  }

  /// The bytes from `lower` up to, not including, `upper`.
  func slice(_ lower: Int, _ upper: Int) -> ByteView {
    let from = min(max(lower, 0), count)
    let to = min(max(upper, from), count)
    guard let start = unsafe start else { return self }
    return unsafe ByteView(start + from, count: Int64(to &- from))
  }

  func prefix(_ length: Int) -> ByteView { slice(0, length) }

  func contains(_ literal: StaticString) -> Bool {
    let wanted = ByteView(literal)
    var index = 0
    while index <= count &- wanted.count {
      if hasBytes(of: wanted, at: index) { return true }
      index &+= 1
    }
    return false
  }

  func isEqual(to other: ByteView) -> Bool { count == other.count && hasBytes(of: other, at: 0) }

  /// Are the bytes from `index` on those of `other`?
  func hasBytes(of other: ByteView, at index: Int) -> Bool {
    guard index >= 0, index <= count &- other.count else { return false }
    for offset in 0..<other.count where self[index &+ offset] != other[offset] { return false }
    return true
  }

  /// Does one of the pairs `ss`, `n_`, `ok`, `:/`, in whatever case, begin in the sixteen bytes from `index` on? Not
  /// where there are not seventeen bytes.
  @inline(__always)
  func hasPair(in index: Int) -> Bool {
    guard index >= 0, index <= count &- 17, let start = unsafe start else { return false }
    let raw = unsafe UnsafeRawPointer(start + index)
    let lower = SIMD16<UInt8>(repeating: 0x20)
    let first = unsafe raw.loadUnaligned(as: SIMD16<UInt8>.self) | lower
    let second = unsafe raw.loadUnaligned(fromByteOffset: 1, as: SIMD16<UInt8>.self) | lower
    let found =
      Self.match(first, 0x73, second, 0x73) .| Self.match(first, 0x6E, second, 0x7F)
      .| Self.match(first, 0x6F, second, 0x6B) .| Self.match(first, 0x3A, second, 0x2F)
    // `any` of the standard library is not one instruction but a hundred.
    let halves = unsafe unsafeBitCast(found, to: SIMD2<UInt64>.self)
    return halves[0] | halves[1] != 0
  }

  @inline(__always)
  private static func match(
    _ first: SIMD16<UInt8>, _ one: UInt8, _ second: SIMD16<UInt8>, _ other: UInt8
  ) -> SIMDMask<SIMD16<Int8>> {
    (first .== SIMD16<UInt8>(repeating: one)) .& (second .== SIMD16<UInt8>(repeating: other))
  }

  /// A number in the machine's own order of bytes; 0 where there are not enough bytes.
  @inline(__always)
  func load<Number: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: Number.Type) -> Number {
    guard offset >= 0, offset <= count &- MemoryLayout<Number>.size, let start = unsafe start else { return 0 }
    return unsafe UnsafeRawPointer(start).loadUnaligned(fromByteOffset: offset, as: type)
  }

  @inline(__always)
  func copy(to destination: UnsafeMutableRawPointer, count wanted: Int) {
    guard let start = unsafe start, wanted > 0 else { return }
    unsafe destination.copyMemory(from: start, byteCount: min(wanted, count))
  }
}

/// Writes into memory of a known size. What does not fit is not written, and `overflowed` tells.
@safe struct ByteWriter {
  private let start: UnsafeMutableRawPointer
  let capacity: Int
  /// How much has been written.
  private(set) var count = 0
  private(set) var overflowed = false

  @inline(__always)
  init(_ start: UnsafeMutableRawPointer, capacity: Int) {
    unsafe self.start = start
    self.capacity = max(capacity, 0)
  }

  /// Lends memory for the length of `body`: for what is done in two steps, which is rare.
  static func withScratch(_ capacity: Int, _ body: (inout ByteWriter) -> Void) {
    unsafe withUnsafeTemporaryAllocation(byteCount: max(capacity, 1), alignment: 8) { memory in
      guard let start = memory.baseAddress else { return }
      var writer = unsafe ByteWriter(start, capacity: capacity)
      body(&writer)
    }
  }

  /// From the beginning of C's buffer; `finish` tells C how much there is.
  init(_ buffer: UnsafeMutablePointer<WardenBuffer>) {
    unsafe self.init(buffer.pointee.bytes, capacity: Int(truncatingIfNeeded: buffer.pointee.capacity))
    unsafe buffer.pointee.length = 0
  }

  func finish(_ buffer: UnsafeMutablePointer<WardenBuffer>) {
    unsafe buffer.pointee.length = Int64(count)
  }

  var room: Int { capacity &- count }

  /// `length` bytes of room from `distance` on, counted from the beginning: for something on the side.
  func part(_ length: Int, behind distance: Int) -> ByteWriter {
    let offset = min(max(distance, 0), capacity)
    return unsafe ByteWriter(start + offset, capacity: min(max(length, 0), capacity &- offset))
  }

  /// Lends the room that is left to code that writes text; false where that was cut.
  mutating func write(_ body: (inout TextWriter) -> Void) -> Bool {
    var buffer = unsafe WardenBuffer(
      bytes: start.assumingMemoryBound(to: UInt8.self) + count, capacity: Int64(room), length: 0)
    var text = unsafe TextWriter(&buffer)
    body(&text)
    skip(text.length)
    return !text.isCut
  }

  /// The next `length` bytes of room, to be written by someone who must not write more; `skip` takes over what was.
  @inline(__always)
  func part(_ length: Int) -> ByteWriter {
    unsafe ByteWriter(start + count, capacity: min(length, room))
  }

  /// What has been written since `offset`.
  func written(since offset: Int) -> ByteView {
    unsafe ByteView(start.assumingMemoryBound(to: UInt8.self), count: Int64(count)).slice(offset, count)
  }

  /// Forgets all that was written behind `offset`.
  mutating func rewind(to offset: Int) {
    guard offset >= 0, offset <= count else { return }
    count = offset
    overflowed = false
  }

  /// What is to be written is known not to fit.
  mutating func fail() { overflowed = true }

  mutating func forgetOverflow() { overflowed = false }

  /// Leaves room for what is written later, or elsewhere.
  @inline(__always)
  mutating func skip(_ length: Int) {
    guard reserve(length) else { return }
    count &+= length
  }

  @inline(__always)
  mutating func append(_ byte: UInt8) {
    guard reserve(1) else { return }
    unsafe start.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  /// All of it or nothing.
  @inline(__always)
  mutating func append(_ view: ByteView) {
    guard reserve(view.count) else { return }
    unsafe view.copy(to: start + count, count: view.count)
    count &+= view.count
  }

  /// As much as there is room for.
  mutating func append(cutting view: ByteView) {
    let fitting = min(view.count, room)
    append(view.prefix(fitting))
    if fitting < view.count { overflowed = true }
  }

  mutating func append(_ literal: StaticString) { append(ByteView(literal)) }

  /// A number in the machine's own order of bytes.
  @inline(__always)
  mutating func append<Number: FixedWidthInteger & BitwiseCopyable>(native number: Number) {
    guard reserve(MemoryLayout<Number>.size) else { return }
    unsafe start.storeBytes(of: number, toByteOffset: count, as: Number.self)
    count &+= MemoryLayout<Number>.size
  }

  mutating func append<Number: FixedWidthInteger & BitwiseCopyable>(bigEndian number: Number) {
    append(native: number.bigEndian)
  }

  /// Decimal digits.
  mutating func append(decimal number: UInt64) {
    var divisor: UInt64 = 1
    while number / divisor >= 10 { divisor &*= 10 }
    while divisor > 0 {
      append(UInt8(truncatingIfNeeded: 48 &+ (number / divisor) % 10))
      divisor /= 10
    }
  }

  /// Two hexadecimal digits.
  mutating func append(hex byte: UInt8) {
    for digit in [byte >> 4, byte & 0x0F] { append(digit < 10 ? 0x30 &+ digit : 0x57 &+ digit) }
  }

  /// Writes a number over what was skipped before.
  @inline(__always)
  func store<Number: FixedWidthInteger & BitwiseCopyable>(_ number: Number, at offset: Int) {
    guard offset >= 0, offset <= capacity &- MemoryLayout<Number>.size else { return }
    unsafe start.storeBytes(of: number, toByteOffset: offset, as: Number.self)
  }

  /// The same without a look at the capacity: for the many numbers of a header whose room was checked as a whole.
  @unsafe @inline(__always)
  func put<Number: FixedWidthInteger & BitwiseCopyable>(_ number: Number, at offset: Int) {
    unsafe start.storeBytes(of: number, toByteOffset: offset, as: Number.self)
  }

  @inline(__always)
  private mutating func reserve(_ length: Int) -> Bool {
    guard length >= 0, length <= capacity &- count else {
      overflowed = true
      return false
    }
    return true
  }
}

/// Reads one thing after another. Behind the end everything is 0 and empty, and `failed` tells.
struct ByteReader {
  private let bytes: ByteView
  private(set) var offset = 0
  private(set) var failed = false

  init(_ bytes: ByteView) { self.bytes = bytes }

  mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type) -> Number {
    guard advance(MemoryLayout<Number>.size) else { return 0 }
    return bytes.load(at: offset &- MemoryLayout<Number>.size, as: type)
  }

  mutating func view(_ length: Int) -> ByteView {
    guard advance(length) else { return bytes.prefix(0) }
    return bytes.slice(offset &- length, offset)
  }

  private mutating func advance(_ length: Int) -> Bool {
    guard !failed, length >= 0, length <= bytes.count &- offset else {
      failed = true
      return false
    }
    offset &+= length
    return true
  }
}

/// UTF-8, as far as cutting and quoting need it.
enum UTF8Shape {
  /// How many bytes the character at `index` has; 0 where the bytes are no character. Encoded surrogates and
  /// overlong forms are none.
  static func length(in bytes: ByteView, at index: Int) -> Int {
    let lead = bytes[index]
    if lead < 0x80 { return index < bytes.count ? 1 : 0 }
    let second = bytes[index &+ 1]
    guard second & 0xC0 == 0x80 else { return 0 }
    if lead >= 0xC2, lead < 0xE0 { return 2 }
    guard lead >= 0xE0, bytes[index &+ 2] & 0xC0 == 0x80 else { return 0 }
    if lead < 0xF0 {
      let isOverlong = lead == 0xE0 && second < 0xA0
      let isSurrogate = lead == 0xED && second >= 0xA0
      return isOverlong || isSurrogate ? 0 : 3
    }
    guard lead < 0xF5, bytes[index &+ 3] & 0xC0 == 0x80 else { return 0 }
    let isOutOfRange = (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second >= 0x90)
    return isOutOfRange ? 0 : 4
  }

  /// How many bytes there are without a character at the end of which some are missing.
  static func withoutTornEnd(_ bytes: ByteView) -> Int {
    var start = bytes.count
    while start > 0, bytes.count &- start < 4 {
      start &-= 1
      let byte = bytes[start]
      if byte & 0xC0 == 0x80 { continue }
      let wanted = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
      return bytes.count &- start < wanted ? start : bytes.count
    }
    return bytes.count
  }

  /// The longest prefix of at most `limit` bytes that does not end within a character. Where the bytes around the
  /// limit are not UTF-8 the cut is made at the limit itself.
  static func cut(_ bytes: ByteView, to limit: Int) -> Int {
    guard limit < bytes.count else { return bytes.count }
    var start = max(limit, 0)
    var steps = 0
    while start > 0, steps < 3, bytes[start] & 0xC0 == 0x80 {
      start &-= 1
      steps &+= 1
    }
    let isWithinCharacter = length(in: bytes, at: start) > steps && steps > 0
    return isWithinCharacter ? start : max(limit, 0)
  }
}
