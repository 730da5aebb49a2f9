import Contract

extension MaskMethod {
  /// The value moved a little, by the same amount each time it is read.
  static let noise = MaskMethod(
    name: "noise",
    kinds: [
      WARDEN_TYPE_INTEGER, WARDEN_TYPE_NUMERIC, WARDEN_TYPE_FLOAT, WARDEN_TYPE_MONEY, WARDEN_TYPE_DATE,
      WARDEN_TYPE_TIMESTAMP, WARDEN_TYPE_TIMESTAMPTZ,
    ], masksElements: true, options: ["percent", "days"]
  ) { (row, writer) throws(PolicyError) in
    let amount = try MaskNoise.amount(row)
    writer.append("(warden.mask_noise(")
    row.writeValue(as: MaskNoise.type(row), to: &writer)
    writer.append(", ")
    writer.append(number: amount)
    switch row.element {
    case WARDEN_TYPE_INTEGER, WARDEN_TYPE_FLOAT:
      writer.append(", ")
      writer.append(number: row.width)
    case WARDEN_TYPE_NUMERIC:
      writer.append(", ")
      writer.append(number: try row.digitsBeforePoint("noise"))
    default: break
    }
    writer.append("))")
  }
}

extension MaskRow {
  /// Of numeric(p, s); 0: any number.
  func digitsBeforePoint(_ method: StaticString) throws(PolicyError) -> Int {
    guard let precision else { return 0 }
    guard scale >= 0, scale < precision else {
      throw PolicyError(
        .invalidParameter,
        Message("method %1$s does not take the precision and scale of column \"%2$s\"", [UInt8](method), target.copy),
        hint: Message("It takes numeric(p, s) with s from 0 to p - 1. Use method redact or null."))
    }
    return precision &- scale
  }
}

/// Noise: a number that the value and the database's secret determine is added.
enum MaskNoise {
  /// Millionths of a percent for numbers, 10 percent unless told; days for dates, 30 unless told.
  fileprivate static func amount(_ row: MaskRow) throws(PolicyError) -> Int {
    let options = MaskOptions(row)
    let percent = try options.decimal("percent", 0...100)
    let days = try options.number("days", 1...36500)
    switch row.element {
    case WARDEN_TYPE_DATE, WARDEN_TYPE_TIMESTAMP, WARDEN_TYPE_TIMESTAMPTZ:
      guard percent == nil else { throw unfit("percent", row, "Dates and times take option days.") }
      return days ?? 30
    default:
      guard days == nil else { throw unfit("days", row, "Numbers take option percent.") }
      return percent ?? 10_000_000
    }
  }

  private static func unfit(_ option: StaticString, _ row: MaskRow, _ hint: StaticString) -> PolicyError {
    PolicyError(
      .invalidParameter,
      Message("option %1$s is not for the type of column \"%2$s\"", [UInt8](option), row.target.copy),
      hint: Message(hint))
  }

  fileprivate static func type(_ row: MaskRow) -> StaticString {
    switch row.element {
    case WARDEN_TYPE_INTEGER: "int8"
    case WARDEN_TYPE_NUMERIC: "numeric"
    case WARDEN_TYPE_FLOAT: "float8"
    case WARDEN_TYPE_MONEY: "money"
    case WARDEN_TYPE_DATE: "date"
    case WARDEN_TYPE_TIMESTAMP: "timestamp"
    default: "timestamptz"
    }
  }

  /// A hundred percent, in millionths of one.
  private static let whole: UInt64 = 100_000_000

  static func noise(
    _ value: Int64, percent: Int64, in range: (min: Int64, max: Int64), _ numbers: KeyedNumbers
  ) -> Int64 {
    guard value != 0 else { return 0 }
    let part = UInt64(max(0, min(percent, Int64(whole))))
    // No quotient is above the magnitude, since part is not above the divisor.
    let product = value.magnitude.multipliedFullWidth(by: part)
    let most = product.high < whole ? whole.dividingFullWidth((product.high, product.low)).quotient : value.magnitude
    return shift(value, most: max(1, min(most, 1 &<< 62)), in: range, numbers)
  }

  /// By 1 to `most`, up or down; the other way where that would leave the range.
  static func shift(
    _ value: Int64, most: UInt64, in range: (min: Int64, max: Int64), _ numbers: KeyedNumbers
  ) -> Int64 {
    guard most > 0 else { return value }
    let drawn = KeyedNumbers.scale(numbers.number(UInt64(bitPattern: value), draw: most), to: most &* 2)
    let isUp = drawn < most
    let step = Int64(truncatingIfNeeded: (isUp ? drawn : drawn &- most) &+ 1)
    return moved(value, isUp ? step : 0 &- step, range) ?? moved(value, isUp ? 0 &- step : step, range) ?? value
  }

  private static func moved(_ value: Int64, _ step: Int64, _ range: (min: Int64, max: Int64)) -> Int64? {
    let (sum, overflows) = value.addingReportingOverflow(step)
    return overflows || sum < range.min || sum > range.max ? nil : sum
  }

  static func float(_ value: Double, percent: Int64, width: Int32, _ numbers: KeyedNumbers) -> Double {
    guard value.isFinite, value != 0 else { return value }
    // Another draw for another percentage: two of them would tell the value.
    let drawn = numbers.number(value.bitPattern, draw: UInt64(bitPattern: percent) &<< 2 | 3)
    // From -1 up to, not including, 1.
    let factor = Double(Int64(bitPattern: drawn) &>> 11) / 4_503_599_627_370_496
    let step = value * factor * (Double(max(0, min(percent, Int64(whole)))) / Double(whole))
    for candidate in [value + step, value - step, value.nextDown, value.nextUp] {
      let result = width == 32 ? Double(Float(candidate)) : candidate
      if result.isFinite && result != value { return result }
    }
    // A step of its own kind of number is too small for a float of four bytes.
    return width == 32 ? Double(Float(value) > 0 ? Float(value).nextDown : Float(value).nextUp) : value
  }
}
