import Contract

/// Elements that C lends for the length of a call, read with a check of every index.
@safe struct Lent<Element>: Sequence {
  private let start: UnsafePointer<Element>?
  /// How many there are; a negative count of C's, or one without elements, counts as none.
  let count: Int

  init(_ start: UnsafePointer<Element>?, count: Int64) {
    unsafe self.start = start
    let present = unsafe start != nil
    self.count = present && count > 0 ? Int(truncatingIfNeeded: count) : 0
  }

  /// The element at `index`, nil where there is none.
  @inline(__always)
  func element(at index: Int) -> Element? {
    guard index >= 0, index < count, let start = unsafe start else { return nil }
    return unsafe start[index]
  }

  /// The address of the element at `index`, for views of structs.
  @unsafe func address(at index: Int) -> UnsafePointer<Element>? {
    guard index >= 0, index < count, let start = unsafe start else { return nil }
    return unsafe start + index
  }

  func makeIterator() -> Iterator { Iterator(lent: self) }

  struct Iterator: IteratorProtocol {
    fileprivate let lent: Lent<Element>
    private var index = 0

    fileprivate init(lent: Lent<Element>) { self.lent = lent }

    @inline(__always)
    mutating func next() -> Element? {
      let element = lent.element(at: index)
      index &+= 1
      return element
    }
  }
}

/// A text of C's. Bytes, not String: what a decision depends on must not depend on Unicode.
@safe struct TextView {
  let bytes: Lent<UInt8>
  /// SQL NULL, which is not the empty text.
  let isNull: Bool

  init(_ text: WardenText) {
    let absent = unsafe text.bytes == nil
    isNull = absent
    bytes = unsafe Lent(text.bytes, count: text.length)
  }

  var count: Int { bytes.count }
  var isEmpty: Bool { bytes.count == 0 }

  /// A copy that outlives the call.
  var copy: [UInt8] { Array(bytes) }

  /// nil for SQL NULL.
  var copyOrNil: [UInt8]? { isNull ? nil : copy }

  func equals(_ other: [UInt8]) -> Bool {
    guard other.count == count else { return false }
    var index = 0
    for byte in other {
      guard bytes.element(at: index) == byte else { return false }
      index &+= 1
    }
    return true
  }

  func equals(_ literal: StaticString) -> Bool {
    guard literal.utf8CodeUnitCount == count else { return false }
    return literal.withUTF8Buffer { buffer in
      for index in buffer.indices {
        guard unsafe bytes.element(at: index) == buffer[index] else { return false }
      }
      return true
    }
  }
}

extension Array where Element == UInt8 {
  init(_ literal: StaticString) {
    self = literal.withUTF8Buffer { unsafe Array($0) }
  }

  mutating func append(_ literal: StaticString) {
    literal.withUTF8Buffer { buffer in unsafe append(contentsOf: buffer) }
  }
}

/// Where in a buffer a text of a verdict was written.
struct WrittenText {
  let offset: Int
  let length: Int
}

/// Writes into a buffer of C's. What does not fit is cut, at the start of a character where the text is UTF-8,
/// and `isCut` tells.
@safe struct TextWriter {
  private let start: UnsafeMutablePointer<UInt8>
  private let capacity: Int
  /// How much has been written.
  private(set) var length = 0
  private(set) var isCut = false

  init(_ buffer: UnsafeMutablePointer<WardenBuffer>) {
    unsafe start = buffer.pointee.bytes
    unsafe capacity = Swift.max(0, Int(truncatingIfNeeded: buffer.pointee.capacity))
    unsafe buffer.pointee.length = 0
  }

  /// Tells C how much there is.
  func finish(_ buffer: UnsafeMutablePointer<WardenBuffer>) {
    unsafe buffer.pointee.length = Int64(length)
  }

  mutating func append(_ byte: UInt8) {
    guard length < capacity, !isCut else {
      isCut = true
      return
    }
    unsafe start[length] = byte
    length &+= 1
  }

  mutating func append(_ literal: StaticString) {
    literal.withUTF8Buffer { buffer in
      for index in buffer.indices { unsafe append(buffer[index]) }
    }
  }

  mutating func append(_ bytes: [UInt8]) {
    // Once: what stands before a cut is somebody's text already.
    guard !isCut else { return }
    for byte in bytes { append(byte) }
    dropTornCharacter()
  }

  mutating func append(_ text: TextView) {
    guard !isCut else { return }
    for byte in text.bytes { append(byte) }
    dropTornCharacter()
  }

  /// nil is SQL NULL.
  mutating func write(_ bytes: [UInt8]?) -> WrittenText? {
    guard let bytes else { return nil }
    let start = length
    append(bytes)
    return written(since: start)
  }

  /// nil where not all of it found room.
  mutating func writeWhole(_ bytes: [UInt8]?) -> WrittenText? {
    guard let bytes, !isCut, bytes.count <= capacity &- length else { return nil }
    return write(bytes)
  }

  /// Decimal digits.
  mutating func append(number: Int) {
    var rest = number.magnitude
    var digits: [UInt8] = []
    repeat {
      digits.append(UInt8(truncatingIfNeeded: 48 &+ rest % 10))
      rest /= 10
    } while rest > 0
    if number < 0 { append(45) }
    for digit in digits.reversed() { append(digit) }
  }

  /// What has been written since the buffer was `offset` long.
  func written(since offset: Int) -> WrittenText {
    WrittenText(offset: offset, length: Swift.max(0, length &- offset))
  }

  /// The text as C takes it; valid as long as the buffer is.
  func text(_ written: WrittenText?) -> WardenText {
    guard let written, written.offset >= 0, written.length >= 0, written.offset &+ written.length <= length else {
      return unsafe WardenText(bytes: nil, length: 0)
    }
    return unsafe WardenText(bytes: UnsafePointer(start + written.offset), length: Int64(written.length))
  }

  /// A text that was cut in the middle of a UTF-8 character would be refused by the client's encoding conversion.
  private mutating func dropTornCharacter() {
    guard isCut else { return }
    var kept = length
    var continuations = 0
    while kept > 0, continuations < 3, unsafe start[kept &- 1] & 0xC0 == 0x80 {
      kept &-= 1
      continuations &+= 1
    }
    guard kept > 0 else { return }
    let lead = unsafe start[kept &- 1]
    let expected = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0
    if expected > continuations { length = kept &- 1 }
  }
}
