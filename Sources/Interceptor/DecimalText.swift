/// A number as the server writes a numeric: 18 digits of it as an integer, and what else it takes to write it again.
struct DecimalText {
  /// Its first digits, with its sign.
  let mantissa: Int64
  /// How many digits before the point follow those of the mantissa.
  let dropped: Int
  /// How many of the mantissa's digits stand behind the point.
  let decimals: Int
  /// How many decimals follow those.
  let droppedDecimals: Int

  /// nil for NaN, infinities and what is no number.
  init?(_ text: ByteView) {
    let isNegative = text[0] == 45
    var number: Int64 = 0
    var (taken, beyond, behind, behindBeyond) = (0, 0, 0, 0)
    var hasPoint = false
    for index in (isNegative ? 1 : 0)..<max(text.count, isNegative ? 1 : 0) {
      let byte = text[index]
      if byte == 46, !hasPoint {
        hasPoint = true
        continue
      }
      guard byte >= 48, byte <= 57 else { return nil }
      let isTaken = taken < 18
      if isTaken {
        number = number &* 10 &+ Int64(byte & 15)
        if number != 0 { taken &+= 1 }
      }
      switch (isTaken, hasPoint) {
      case (true, true): behind &+= 1
      case (true, false): break
      case (false, true): behindBeyond &+= 1
      case (false, false): beyond &+= 1
      }
    }
    guard text.count > (isNegative ? 1 : 0) else { return nil }
    mantissa = isNegative ? 0 &- number : number
    (dropped, decimals, droppedDecimals) = (beyond, behind, behindBeyond)
  }

  /// The greatest mantissa of as many digits before the point; 0: of any number.
  func most(digits: Int) -> Int64 {
    let places = digits <= 0 ? 18 : digits &- dropped &+ decimals
    var limit: Int64 = 1
    for _ in 0..<max(0, min(places, 18)) { limit &*= 10 }
    return limit &- 1
  }

  /// Writes the number with another mantissa in the same place.
  func write(_ mantissa: Int64, to writer: inout TextWriter) {
    if mantissa < 0 { writer.append(45) }
    let digits = MaskOptions.digits(Int(truncatingIfNeeded: mantissa.magnitude))
    // At least one before the point.
    let padding = max(0, decimals &+ 1 &- digits.count)
    writeZeros(min(padding, 1), to: &writer)
    if padding > 0 {
      writer.append(46)
      writeZeros(padding &- 1, to: &writer)
    }
    for (index, digit) in digits.enumerated() {
      if decimals > 0, padding == 0, index == digits.count &- decimals { writer.append(46) }
      writer.append(digit)
    }
    writeZeros(dropped, to: &writer)
    if droppedDecimals > 0, decimals == 0 { writer.append(46) }
    writeZeros(droppedDecimals, to: &writer)
  }

  private func writeZeros(_ count: Int, to writer: inout TextWriter) {
    for _ in 0..<max(0, count) { writer.append(48) }
  }
}
