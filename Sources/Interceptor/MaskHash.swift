import Contract

extension MaskMethod {
  /// A token that stands for the value: the same wherever the same value stands, so that joins on tokens work, and not
  /// to be computed without the database's secret.
  static let hash = MaskMethod(
    name: "hash",
    kinds: [
      WARDEN_TYPE_TEXT, WARDEN_TYPE_INTEGER, WARDEN_TYPE_NUMERIC, WARDEN_TYPE_UUID, WARDEN_TYPE_BYTEA, WARDEN_TYPE_ENUM,
    ], masksElements: true, options: ["length"]
  ) { (row, writer) throws(PolicyError) in
    let length = try MaskHash.length(row)
    writer.append("(warden.mask_hash(")
    switch row.element {
    case WARDEN_TYPE_TEXT:
      MaskHash.writeText(row, &writer)
      writer.append(", ")
      writer.append(number: length)
    case WARDEN_TYPE_INTEGER:
      row.writeValue(as: "int8", to: &writer)
      writer.append(", ")
      writer.append(number: row.width == 16 ? 16 : 64)
    case WARDEN_TYPE_NUMERIC:
      row.writeValue(as: "numeric", to: &writer)
      writer.append(", ")
      writer.append(number: try MaskHash.digits(row))
    case WARDEN_TYPE_UUID: row.writeValue(as: "uuid", to: &writer)
    case WARDEN_TYPE_BYTEA: row.writeValue(as: "bytea", to: &writer)
    default:
      guard row.type == WARDEN_TYPE_ENUM, !row.isDomain else {
        throw PolicyError(
          .invalidParameter, "method hash takes no arrays of, and no domains over, enums as in column", row.target,
          hint: "Use method redact or null.")
      }
      writer.append(row.column)
    }
    writer.append("))")
  }
}

/// Tokens.
enum MaskHash {
  /// 80 bits: of a thousand million values no two are expected to have the same.
  private static let usual = 16
  /// 40 bits: of a million values one or two are.
  private static let least = 8

  fileprivate static func length(_ row: MaskRow) throws(PolicyError) -> Int {
    let options = MaskOptions(row)
    let given = try options.number("length", least...52)
    guard row.element == WARDEN_TYPE_TEXT else {
      guard given == nil else {
        throw PolicyError(
          .invalidParameter, "option length is for text only, not for column", row.target,
          hint: "Tokens of other types have the length of the type.")
      }
      return 0
    }
    let length = given ?? usual
    guard row.maxCharacters < 0 || Int(row.maxCharacters) >= length else {
      throw PolicyError(
        .invalidParameter,
        Message(
          "tokens of %1$s characters do not fit column \"%2$s\"", MaskOptions.digits(length), row.target.copy),
        hint: Message(
          """
          Shorter ones meet sooner: with option length, from %1$s (one in a million values meets another) to 52, \
          the same for all columns that are to be joined.
          """, MaskOptions.digits(least)))
    }
    return length
  }

  /// The digits before the point that a token can have.
  fileprivate static func digits(_ row: MaskRow) throws(PolicyError) -> Int {
    guard let precision = row.precision else { return 18 }
    let digits = precision &- row.scale
    guard digits >= 10, row.scale >= 0 else {
      throw PolicyError(
        .invalidParameter, "tokens of ten digits do not fit column", row.target,
        hint: "Use method noise, round, redact or null.")
    }
    return min(digits, 18)
  }

  /// Of citext, equal values have one token: folded as its own comparison folds them.
  fileprivate static func writeText(_ row: MaskRow, _ writer: inout TextWriter) {
    guard row.foldsCase else { return row.writeValue(as: "text", to: &writer) }
    writer.append("pg_catalog.lower(")
    writer.append(row.column)
    // Of an array the whole of what is written: braces, commas and quotes have no case.
    writer.append("::pg_catalog.text COLLATE pg_catalog.\"default\")")
    if row.isArray { writer.append("::pg_catalog.text[]") }
  }

  /// Five bits a character; no letters that are taken for digits.
  static func token(_ digest: ByteView, length: Int, to writer: inout TextWriter) {
    let alphabet = ByteView("0123456789abcdefghjkmnpqrstvwxyz")
    for character in 0..<max(0, min(length, 52)) {
      let bit = character &* 5
      let pair = Int(digest[bit &>> 3]) &<< 8 | Int(digest[(bit &>> 3) &+ 1])
      writer.append(alphabet[pair &>> (11 &- bit & 7) & 31])
    }
  }

  /// Version 4, variant 1, as RFC 9562 has it.
  static func uuid(_ digest: ByteView, to writer: inout TextWriter) {
    for index in 0..<16 {
      let byte = digest[index]
      writer.append(index == 6 ? byte & 0x0f | 0x40 : index == 8 ? byte & 0x3f | 0x80 : byte)
    }
  }

  static func integer(_ value: Int64, width: Int32, _ numbers: KeyedNumbers) -> Int64 {
    let bits = UInt64(bitPattern: value)
    if width == 16 {
      if value >= 0 && value < 1 &<< 15 { return Int64(truncatingIfNeeded: numbers.permute(bits, left: 8, right: 7)) }
      return Int64(truncatingIfNeeded: KeyedNumbers.scale(numbers.number(bits, draw: 1), to: 1 &<< 15))
    }
    if value >= 0 && value < firstWide {
      return Int64(truncatingIfNeeded: numbers.permute(bits, left: 16, right: 15))
    }
    let drawn = numbers.number(bits, draw: 2)
    if value < 0 && value >= -firstWide {
      return Int64(truncatingIfNeeded: KeyedNumbers.scale(drawn, to: UInt64(firstWide)))
    }
    return wide(drawn, below: .max)
  }

  static func numeric(_ value: ByteView, digits: Int32, _ numbers: KeyedNumbers) -> Int64 {
    let plain = withoutTrailingZeros(value)
    let digits = digits >= 10 && digits <= 18 ? digits : 18
    if let whole = wholeNumber(plain), whole >= -firstWide, whole < firstWide {
      return integer(whole, width: 64, numbers)
    }
    var limit: Int64 = 1
    for _ in 0..<digits { limit &*= 10 }
    return wide(numbers.number(plain), below: limit)
  }

  /// The first number that is no integer of four bytes.
  private static let firstWide: Int64 = 1 &<< 31

  private static func wide(_ drawn: UInt64, below limit: Int64) -> Int64 {
    firstWide &+ Int64(truncatingIfNeeded: KeyedNumbers.scale(drawn, to: UInt64(limit &- firstWide)))
  }

  /// 12.00 is 12.
  private static func withoutTrailingZeros(_ value: ByteView) -> ByteView {
    var hasPoint = false
    for index in 0..<value.count where value[index] == 46 { hasPoint = true }
    guard hasPoint else { return value }
    var end = value.count
    while end > 0, value[end &- 1] == 48 { end &-= 1 }
    if end > 0, value[end &- 1] == 46 { end &-= 1 }
    return value.prefix(end)
  }

  /// Of at most 18 digits.
  private static func wholeNumber(_ text: ByteView) -> Int64? {
    let isNegative = text[0] == 45
    let digits = isNegative ? text.slice(1, text.count) : text
    guard digits.count > 0, digits.count <= 18 else { return nil }
    var number: Int64 = 0
    for index in 0..<digits.count {
      guard digits[index] >= 48, digits[index] <= 57 else { return nil }
      number = number &* 10 &+ Int64(digits[index] & 15)
    }
    return isNegative ? 0 &- number : number
  }
}
