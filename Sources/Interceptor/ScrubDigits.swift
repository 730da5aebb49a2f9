/// Digits in groups with separators between them, as people write long numbers: read once, then tried as this or that.
struct ScrubDigits {
  /// The most digits that any number looked for has, and the most groups.
  static let mostDigits = 20
  private static let mostGroups = 16

  /// What stands between two groups.
  enum Separator {
    static let mixed: UInt8 = 1
  }

  private let text: ByteView
  let start: Int
  private var digits = SIMD32<UInt8>()
  private(set) var count = 0
  private(set) var groups = 0
  /// Of each group: how many digits there are up to its end, where it ends, and the separator behind it.
  private var counts = SIMD16<UInt8>()
  private var ends = SIMD16<UInt8>()
  private var separators = SIMD16<UInt8>()

  /// `start` is at a digit. A group that has too many digits, alone or with those before it, is not in it.
  init(_ text: ByteView, from start: Int) {
    self.text = text
    self.start = start
    var index = start
    while groups < ScrubDigits.mostGroups, index &- start < 100 {
      let group = index
      while ScrubBytes.isDigit(text[index]), index &- group <= ScrubDigits.mostDigits { index &+= 1 }
      let length = index &- group
      guard length > 0, count &+ length <= ScrubDigits.mostDigits else { break }
      for offset in 0..<length { digits[(count &+ offset) & 31] = text[group &+ offset] & 15 }
      count &+= length
      counts[groups & 15] = UInt8(truncatingIfNeeded: count)
      ends[groups & 15] = UInt8(truncatingIfNeeded: index &- start)
      let separator = takeSeparator(&index)
      separators[groups & 15] = separator
      groups &+= 1
      if separator == 0 { break }
    }
  }

  /// One of space - . / or a few of them with brackets; 0 where no digit comes behind it.
  private func takeSeparator(_ index: inout Int) -> UInt8 {
    let first = text[index]
    if first == 0x20 || first == 0x2D || first == 0x2E || first == 0x2F, ScrubBytes.isDigit(text[index &+ 1]) {
      index &+= 1
      return first
    }
    var end = index
    while end &- index < 4, text[end] == 0x20 || text[end] == 0x2D || text[end] == 0x28 || text[end] == 0x29 {
      end &+= 1
    }
    guard end > index, ScrubBytes.isDigit(text[end]) else { return 0 }
    index = end
    return Separator.mixed
  }

  /// The digit at `index`; 0 where there is none.
  @inline(__always)
  func digit(_ index: Int) -> Int { index < count ? Int(digits[index & 31]) : 0 }

  /// As a number: `length` digits from `index` on, at most 18.
  func number(_ index: Int, _ length: Int) -> Int {
    var number = 0
    for offset in 0..<max(0, min(length, 18)) { number = number &* 10 &+ digit(index &+ offset) }
    return number
  }

  /// How many digits the first `groups` groups have.
  func digits(in groups: Int) -> Int { groups > 0 && groups <= self.groups ? Int(counts[(groups &- 1) & 15]) : 0 }

  func length(of group: Int) -> Int { digits(in: group &+ 1) &- digits(in: group) }

  /// Behind the last of the first `groups` groups, in the text.
  func end(of groups: Int) -> Int { groups > 0 ? start &+ Int(ends[(groups &- 1) & 15]) : start }

  /// Behind the group with this number.
  func separator(_ group: Int) -> UInt8 { group < groups ? separators[group & 15] : 0 }

  /// Are the first groups of these lengths, with one separator of `accepted` between each two?
  func hasShape(_ lengths: StaticString, _ accepted: StaticString = " -") -> Bool {
    let lengths = ByteView(lengths)
    guard lengths.count <= groups else { return false }
    for group in 0..<lengths.count {
      guard length(of: group) == Int(lengths[group] & 15) else { return false }
      if group &+ 1 < lengths.count, !ByteView(accepted).contains(separator(group)) { return false }
    }
    return true
  }

  /// Sum by Luhn's rule (ISO/IEC 7812-1, annex B) of `length` digits from `index` on.
  func passesLuhn(_ index: Int, _ length: Int) -> Bool {
    var sum = 0
    for offset in 0..<length {
      var digit = digit(index &+ offset)
      if (length &- offset) & 1 == 0 { digit = digit > 4 ? digit &* 2 &- 9 : digit &* 2 }
      sum &+= digit
    }
    return sum % 10 == 0
  }
}

extension ByteView {
  func contains(_ byte: UInt8) -> Bool {
    for index in 0..<count where self[index] == byte { return true }
    return false
  }
}
