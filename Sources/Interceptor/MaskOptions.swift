import Contract

/// The options of a mask. What is not valid is refused by an error that says what is.
struct MaskOptions {
  private let row: MaskRow

  init(_ row: MaskRow) {
    self.row = row
  }

  /// Every option must be one that the method takes.
  func check(of method: MaskMethod) throws(PolicyError) {
    for key in row.keys where !method.options.contains(where: { key.equals($0) }) {
      let hint =
        method.options.isEmpty
        ? Message("Method %1$s takes no options.", [UInt8](method.name))
        : Message("Method %1$s takes: %2$s.", [UInt8](method.name), MaskMethod.list(method.options))
      throw PolicyError(.invalidParameter, Message("unknown option", quoting: key.copy), hint: hint)
    }
  }

  /// Every value of an option that can have several, in their order.
  func values(_ key: StaticString) -> [TextView] {
    zip(row.keys, row.values).filter { $0.0.equals(key) }.map { $0.1 }
  }

  /// The value of the option; nil where it is not given. Not a list, nor NULL.
  func value(_ key: StaticString) throws(PolicyError) -> TextView? {
    let given = values(key)
    guard let value = given.first else { return nil }
    guard given.count == 1, !value.isNull else {
      throw MaskOptions.invalid(key, value, "Accepted: one value, not a list, not null.")
    }
    return value
  }

  /// A text of at most so many bytes.
  func text(_ key: StaticString, most: Int) throws(PolicyError) -> [UInt8]? {
    guard let value = try value(key) else { return nil }
    guard value.count <= most else {
      throw MaskOptions.invalid(
        key, value, Message("Accepted: a text of at most %1$s bytes.", MaskOptions.digits(most)))
    }
    return value.copy
  }

  /// A whole number of the range.
  func number(_ key: StaticString, _ range: ClosedRange<Int>) throws(PolicyError) -> Int? {
    guard let value = try value(key) else { return nil }
    guard let number = MaskOptions.whole(value), range.contains(number) else {
      throw MaskOptions.invalid(
        key, value,
        Message(
          "Accepted: a whole number from %1$s to %2$s.", MaskOptions.digits(range.lowerBound),
          MaskOptions.digits(range.upperBound)))
    }
    return number
  }

  /// A number above the lower bound, up to the upper one, in millionths; six decimals at most. Bounds up to 10^12.
  func decimal(_ key: StaticString, _ range: ClosedRange<Int>) throws(PolicyError) -> Int? {
    guard let value = try value(key) else { return nil }
    guard let number = MaskOptions.millionths(value), number > range.lowerBound &* 1_000_000,
      number <= range.upperBound &* 1_000_000
    else {
      throw MaskOptions.invalid(
        key, value,
        Message(
          "Accepted: a number above %1$s, up to %2$s, of six decimals at most.", MaskOptions.digits(range.lowerBound),
          MaskOptions.digits(range.upperBound)))
    }
    return number
  }

  /// Which of the words it is.
  func word(_ key: StaticString, among words: [StaticString]) throws(PolicyError) -> StaticString? {
    guard let value = try value(key) else { return nil }
    for word in words where value.equals(word) { return word }
    throw MaskOptions.invalid(key, value, Message("Accepted: %1$s.", MaskMethod.list(words)))
  }

  static func invalid(_ key: StaticString, _ value: TextView, _ hint: Message) -> PolicyError {
    PolicyError(
      .invalidParameter,
      Message("invalid value of option %1$s: \"%2$s\"", [UInt8](key), Array(value.copy.prefix(longestValue))),
      hint: hint)
  }

  static func invalid(_ key: StaticString, _ value: TextView, _ hint: StaticString) -> PolicyError {
    invalid(key, value, Message(hint))
  }

  private static let longestValue = 200

  /// Up to 18 digits and nothing else.
  private static func whole(_ text: TextView) -> Int? {
    guard !text.isEmpty, text.count <= 18 else { return nil }
    var number = 0
    for byte in text.bytes {
      guard byte >= 48, byte <= 57 else { return nil }
      number = number &* 10 &+ Int(byte & 15)
    }
    return number
  }

  private static func millionths(_ text: TextView) -> Int? {
    var number = 0
    var decimals: Int?
    guard !text.isEmpty, text.count <= 19 else { return nil }
    for byte in text.bytes {
      if byte == 46, decimals == nil {
        decimals = 0
        continue
      }
      guard byte >= 48, byte <= 57, number < 1_000_000_000_000_000_000 / 10 else { return nil }
      number = number &* 10 &+ Int(byte & 15)
      decimals = decimals.map { $0 &+ 1 }
    }
    let missing = 6 &- (decimals ?? 0)
    guard missing >= 0 else { return nil }
    for _ in 0..<missing {
      let (product, overflows) = number.multipliedReportingOverflow(by: 10)
      guard !overflows else { return nil }
      number = product
    }
    return number
  }

  static func digits(_ number: Int) -> [UInt8] {
    var rest = number.magnitude
    var digits: [UInt8] = []
    repeat {
      digits.append(UInt8(truncatingIfNeeded: 48 &+ rest % 10))
      rest /= 10
    } while rest > 0
    if number < 0 { digits.append(45) }
    return digits.reversed()
  }
}
