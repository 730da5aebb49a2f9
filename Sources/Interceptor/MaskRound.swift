import Contract

extension MaskMethod {
  /// To the nearest multiple of a step; of times, to when an hour, a day … began.
  static let round = MaskMethod(
    name: "round",
    kinds: [
      WARDEN_TYPE_INTEGER, WARDEN_TYPE_NUMERIC, WARDEN_TYPE_FLOAT, WARDEN_TYPE_MONEY, WARDEN_TYPE_DATE,
      WARDEN_TYPE_TIMESTAMP, WARDEN_TYPE_TIMESTAMPTZ, WARDEN_TYPE_TIME,
    ], masksElements: true, options: ["to"]
  ) { (row, writer) throws(PolicyError) in
    let options = MaskOptions(row)
    writer.append("(warden.mask_round(")
    switch row.element {
    case WARDEN_TYPE_DATE:
      try MaskRound.writeTime("date", row, options.word("to", among: MaskRound.units) ?? "month", &writer)
    case WARDEN_TYPE_TIMESTAMP:
      try MaskRound.writeTime("timestamp", row, options.word("to", among: MaskRound.unitsOfTime) ?? "month", &writer)
    case WARDEN_TYPE_TIMESTAMPTZ:
      try MaskRound.writeTime("timestamptz", row, options.word("to", among: MaskRound.unitsOfTime) ?? "month", &writer)
    case WARDEN_TYPE_TIME:
      try MaskRound.writeTime("time", row, options.word("to", among: ["hour"]) ?? "hour", &writer)
    default:
      try MaskRound.writeNumber(row, &writer)
    }
    writer.append("))")
  }

  /// The first day of the year; of an instant, in UTC: the session's time zone would tell when in the year it is.
  static let year = MaskMethod(
    name: "year", kinds: [WARDEN_TYPE_DATE, WARDEN_TYPE_TIMESTAMP, WARDEN_TYPE_TIMESTAMPTZ], masksElements: true
  ) { (row, writer) throws(PolicyError) in
    writer.append("(warden.mask_round(")
    switch row.element {
    case WARDEN_TYPE_DATE: MaskRound.writeTime("date", row, "year", &writer)
    case WARDEN_TYPE_TIMESTAMP: MaskRound.writeTime("timestamp", row, "year", &writer)
    default: MaskRound.writeTime("timestamptz", row, "year", &writer)
    }
    writer.append("))")
  }
}

/// Rounding.
enum MaskRound {
  fileprivate static let units: [StaticString] = ["day", "month", "quarter", "year", "decade"]
  fileprivate static let unitsOfTime: [StaticString] = ["hour", "day", "month", "quarter", "year", "decade"]

  fileprivate static func writeTime(
    _ type: StaticString, _ row: MaskRow, _ unit: StaticString, _ writer: inout TextWriter
  ) {
    row.writeValue(as: type, to: &writer)
    writer.append(", '")
    writer.append(unit)
    writer.append("'")
  }

  fileprivate static func writeNumber(_ row: MaskRow, _ writer: inout TextWriter) throws(PolicyError) {
    switch row.element {
    case WARDEN_TYPE_INTEGER:
      let most = row.width == 16 ? 32767 : row.width == 32 ? 2_147_483_647 : 999_999_999_999_999_999
      let step = try MaskOptions(row).number("to", 1...most) ?? 10
      row.writeValue(as: "int8", to: &writer)
      writer.append(", ")
      writer.append(number: step)
      writer.append("::pg_catalog.int8, ")
      writer.append(number: row.width)
    case WARDEN_TYPE_MONEY:
      try writeStep("money", row, "::pg_catalog.numeric::pg_catalog.money", &writer)
    case WARDEN_TYPE_FLOAT:
      try writeStep("float8", row, "::pg_catalog.float8, ", &writer)
      writer.append(number: row.width)
    default:
      try writeStep("numeric", row, "::pg_catalog.numeric, ", &writer)
      writer.append(number: try row.digitsBeforePoint("round"))
    }
  }

  private static func writeStep(
    _ type: StaticString, _ row: MaskRow, _ cast: StaticString, _ writer: inout TextWriter
  ) throws(PolicyError) {
    // Millionths, so that no step is written in a form that is read as another.
    let step = try MaskOptions(row).decimal("to", 0...999_999_999_999) ?? 10_000_000
    row.writeValue(as: type, to: &writer)
    writer.append(", ")
    writer.append(number: step / 1_000_000)
    var decimals = Array(MaskOptions.digits(step % 1_000_000 &+ 1_000_000).dropFirst())
    while decimals.last == 48 { decimals.removeLast() }
    if !decimals.isEmpty { writer.append([46] + decimals) }
    writer.append(cast)
  }

  static func integer(_ value: Int64, step: Int64, in range: (min: Int64, max: Int64)) -> Int64 {
    guard step > 0 else { return value }
    let rest = value % step
    let near = value &- rest
    guard rest.magnitude >= step.magnitude &- rest.magnitude else { return near }
    let (far, overflows) = near.addingReportingOverflow(value < 0 ? 0 &- step : step)
    return overflows || far < range.min || far > range.max ? near : far
  }

  static func float(_ value: Double, step: Double, width: Int32) -> Double {
    guard value.isFinite, step.isFinite, step > 0 else { return value }
    let near = (value / step).rounded(.toNearestOrAwayFromZero) * step
    let result = width == 32 ? Double(Float(near)) : near
    // Beyond what the type holds; or further than numbers of that size are apart, then there is nothing to round.
    guard !result.isFinite else { return result }
    let lower = (value / step).rounded(.towardZero) * step
    return lower.isFinite ? lower : value
  }

  /// The calendar that PostgreSQL has, Gregorian for all time; algorithms of Howard Hinnant, "chrono-Compatible
  /// Low-Level Date Algorithms".
  static func day(_ day: Int64, _ unit: ByteView, min: Int64) -> Int64 {
    if unit.isEqual(to: ByteView("day")) || unit.isEqual(to: ByteView("hour")) { return max(min, day) }
    var (year, month) = civil(day)
    if unit.isEqual(to: ByteView("quarter")) {
      month = (month &- 1) / 3 &* 3 &+ 1
    } else if !unit.isEqual(to: ByteView("month")) {
      month = 1
      // As date_trunc has it: the decade of 1987 begins with 1980.
      if unit.isEqual(to: ByteView("decade")) { year = floor(year, 10) &* 10 }
    }
    return max(min, days(year, month))
  }

  static func instant(_ microseconds: Int64, _ unit: ByteView, min: Int64) -> Int64 {
    let perDay: Int64 = 86_400_000_000
    if unit.isEqual(to: ByteView("hour")) {
      let (begin, overflows) = floor(microseconds, 3_600_000_000).multipliedReportingOverflow(by: 3_600_000_000)
      return overflows ? min : max(min, begin)
    }
    let (begin, overflows) = day(floor(microseconds, perDay), unit, min: .min).multipliedReportingOverflow(by: perDay)
    return overflows ? min : max(min, begin)
  }

  private static func floor(_ value: Int64, _ divisor: Int64) -> Int64 {
    value / divisor &- (value % divisor < 0 ? 1 : 0)
  }

  /// Days from 0000-03-01, of a year that begins in March, to 2000-01-01.
  private static let epoch: Int64 = 730_425
  private static let perEra: Int64 = 146_097

  private static func civil(_ day: Int64) -> (year: Int64, month: Int64) {
    let shifted = max(-1 &<< 40, Swift.min(day, 1 &<< 40)) &+ epoch
    let era = floor(shifted, perEra)
    let ofEra = shifted &- era &* perEra
    let year = (ofEra &- ofEra / 1460 &+ ofEra / 36524 &- ofEra / 146_096) / 365
    let ofYear = ofEra &- (365 &* year &+ year / 4 &- year / 100)
    let marchMonth = (5 &* ofYear &+ 2) / 153
    let month = marchMonth < 10 ? marchMonth &+ 3 : marchMonth &- 9
    return (year &+ era &* 400 &+ (month <= 2 ? 1 : 0), month)
  }

  /// To the first day of the month.
  private static func days(_ year: Int64, _ month: Int64) -> Int64 {
    let shifted = month <= 2 ? year &- 1 : year
    let era = floor(shifted, 400)
    let ofEra = shifted &- era &* 400
    let marchMonth = month > 2 ? month &- 3 : month &+ 9
    let ofYear = (153 &* marchMonth &+ 2) / 5
    return era &* perEra &+ ofEra &* 365 &+ ofEra / 4 &- ofEra / 100 &+ ofYear &- epoch
  }
}
