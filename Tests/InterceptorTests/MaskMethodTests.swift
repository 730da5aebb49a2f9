import Contract
import Testing

// What masks make of values that are no text, and of cards and phones.

@Suite struct MaskMethodTests {
  let arena = Arena()
  let key: WardenText

  init() {
    key = arena.text((0..<32).map { UInt8($0) })
  }

  fileprivate func last4(_ value: [UInt8], _ encoding: WardenEncoding = WARDEN_ENCODING_UTF8) -> [UInt8] {
    var out = arena.buffer(24)
    warden_mask_last4(arena.text(value), encoding, &out)
    return Array(UnsafeBufferPointer(start: out.bytes, count: Int(out.length)))
  }

  fileprivate func noise(_ value: String, percent: Int64 = 10_000_000, digits: Int32 = 0) -> String {
    var out = arena.buffer(2 * value.utf8.count + 24)
    warden_mask_noise_decimal(key, arena.text(value), percent, digits, &out)
    return string(out)
  }
}

// MARK: - Tokens

extension MaskMethodTests {
  /// The numbers of the published test vectors of SipHash-2-4, for 15 bytes and for none.
  @Test func keyedNumbersAreSipHash() {
    let bytes = arena.text((0..<15).map { UInt8($0) })
    func scaled(_ number: UInt64) -> Int32 { Int32(number.multipliedFullWidth(by: UInt64(Int32.max)).high) }
    #expect(warden_mask_choice(key, bytes, .max) == scaled(0xa129_ca61_49be_45e5))
    #expect(warden_mask_choice(key, arena.text(""), .max) == scaled(0x726f_db47_dd0e_0e31))
    #expect(warden_mask_choice(key, bytes, 0) == 0)
    #expect(warden_mask_choice(key, bytes, -5) == 0)
  }

  @Test func everySmallintHasItsToken() {
    let tokens = Set((0...32767).map { warden_mask_integer(key, $0, 16) })
    #expect(tokens == Set(0...32767))
    for value in -32768..<(0 as Int64) {
      guard (0...32767).contains(warden_mask_integer(key, value, 16)) else {
        Issue.record("\(value) leaves the type")
        return
      }
    }
  }

  @Test func integersHaveOneTokenInEveryWidth() {
    var tokens: Set<Int64> = []
    for value in (0..<20_000 as Range<Int64>).map({ $0 * 107_374 }) {
      let token = warden_mask_integer(key, value, 32)
      #expect(token == warden_mask_integer(key, value, 64) && token >= 0 && token <= Int64(Int32.max))
      #expect(token == warden_mask_numeric(key, arena.text("\(value).000"), 18))
      tokens.insert(token)
    }
    #expect(tokens.count == 20_000)
    for value in [-1, Int64(Int32.min)] {
      #expect((0...Int64(Int32.max)).contains(warden_mask_integer(key, value, 32)))
    }
    for value in [Int64.min, -1 << 31 - 1, 1 << 31, .max] {
      #expect(warden_mask_integer(key, value, 64) > Int64(Int32.max))
    }
  }

  @Test(arguments: [("12.50", "12.5"), ("0.00", "0"), ("-7.0", "-7"), ("1e", "1e"), ("NaN", "NaN"), ("", "")])
  func equalNumericsHaveOneToken(_ one: String, _ other: String) {
    for digits in [10, 12, 18, 0, 99] as [Int32] {
      let token = warden_mask_numeric(key, arena.text(one), digits)
      #expect(token == warden_mask_numeric(key, arena.text(other), digits) && token >= 0)
      #expect(digits != 10 || token < 10_000_000_000)
    }
    #expect(warden_mask_numeric(key, arena.text("12.5"), 18) != warden_mask_numeric(key, arena.text("12.51"), 18))
  }

  @Test func textTokensAreOfTheDigest() {
    var out = arena.buffer(52)
    warden_mask_token(arena.text([UInt8](repeating: 0xff, count: 32)), 52, &out)
    #expect(string(out) == String(repeating: "z", count: 51) + "g")
    warden_mask_token(arena.text([0x00, 0x44, 0x32, 0x14, 0xc7]), 8, &out)
    #expect(string(out) == "01234567")
    warden_mask_token(arena.text([1]), -4, &out)
    #expect(out.length == 0)
    warden_mask_uuid(arena.text([UInt8](repeating: 0xff, count: 32)), &out)
    #expect(out.length == 16 && out.bytes[6] == 0x4f && out.bytes[8] == 0xbf)
  }
}

// MARK: - Noise

extension MaskMethodTests {
  @Test(arguments: [1, -1, 3, 1000, -32768, 32767, 30000] as [Int64])
  func noiseStaysInTheType(_ value: Int64) {
    for percent in [0, 1, 10_000_000, 100_000_000, Int64.max, .min] {
      let result = warden_mask_noise(key, value, percent, -32768, 32767)
      #expect(result != value && (-32768...32767).contains(result))
      #expect(result == warden_mask_noise(key, value, percent, -32768, 32767))
      let most = max(1, abs(value) / 10)
      #expect(percent != 10_000_000 || abs(result - value) <= most)
    }
  }

  @Test func noiseOfExtremes() {
    #expect(warden_mask_noise(key, 0, 10_000_000, .min, .max) == 0)
    for value in [Int64.min, .min + 1, .max] {
      #expect(warden_mask_noise(key, value, 100_000_000, .min, .max) != value)
      #expect(warden_mask_shift(key, value, .max, .min, .max) != value)
    }
    #expect(warden_mask_shift(key, 5, 0, .min, .max) == 5)
    #expect(warden_mask_shift(key, 5, -1, .min, .max) == 5)
    #expect(warden_mask_shift(key, 5, 3, 5, 5) == 5)
  }

  @Test(arguments: [
    "12.50", "0.001", "-999.99", "123456789012345678901234567890.125", "0.00000000000000000000000012345", "1",
    "100000000000000000000",
  ])
  func noiseKeepsTheFormOfADecimal(_ value: String) {
    let result = noise(value)
    #expect(result != value)
    func decimals(_ text: String) -> Int? { text.split(separator: ".").dropFirst().first?.count }
    #expect(decimals(result) == decimals(value))
    guard let before = Double(value), let after = Double(result) else {
      Issue.record("\(result) is no number")
      return
    }
    #expect(abs(after - before) <= max(abs(before) * 0.1001, 0.0011) || abs(before) == 1)
  }

  @Test(arguments: ["0", "0.00", "NaN", "Infinity", "-Infinity", "", "-", "1..2", "x"])
  func noiseOfWhatIsNoNumberOrNothing(_ value: String) {
    #expect(["-", "1..2", "x"].contains(value) || noise(value) == value)
  }

  @Test func noiseFitsThePrecision() {
    for hundredths in 99_000...99_999 {
      let value = "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
      let result = noise(value, digits: 3)
      guard let number = Double(result), number < 1000 else {
        Issue.record("\(value): \(result) is too long")
        return
      }
    }
  }

  @Test(arguments: [
    1.5, -3.4e38, Double.greatestFiniteMagnitude, -Double.greatestFiniteMagnitude, .leastNonzeroMagnitude, 1e-45,
  ])
  func noiseOfFloats(_ value: Double) {
    for width in [32, 64] as [Int32] where width == 64 || Float(value).isFinite {
      let given = width == 32 ? Double(Float(value)) : value
      let result = warden_mask_noise_float(key, given, 10_000_000, width)
      #expect(result.isFinite && (result != given || given == 0), "\(given)")
      #expect(width == 64 || Float(result).isFinite)
    }
    #expect(warden_mask_noise_float(key, .nan, 1, 64).isNaN)
    #expect(warden_mask_noise_float(key, .infinity, 1, 64) == .infinity)
  }

  /// One value under two percentages: were the noise in proportion to them, it would tell the value.
  @Test func noiseOfFloatsUnderTwoPercentagesTellsNothing() {
    let values = (1...50).map { Double($0) * 1000.5 }
    let told = values.filter { value in
      let (ten, twenty) = (
        warden_mask_noise_float(key, value, 10_000_000, 64), warden_mask_noise_float(key, value, 20_000_000, 64)
      )
      return abs(2 * ten - twenty - value) < value / 1_000_000
    }
    #expect(told.isEmpty)
  }
}

// MARK: - Rounding

extension MaskMethodTests {
  @Test(
    arguments: [
      (14, 10, 10), (15, 10, 20), (-15, 10, -20), (-14, 10, -10), (32767, 10, 32760), (-32768, 10, -32760), (7, 0, 7),
      (7, -3, 7), (32767, 30000, 30000), (0, 5, 0),
    ] as [(Int64, Int64, Int64)])
  func roundsIntegers(_ value: Int64, _ step: Int64, _ result: Int64) {
    #expect(warden_mask_round(value, step, -32768, 32767) == result)
  }

  @Test func roundsExtremes() {
    #expect(warden_mask_round(.min, .max, .min, .max) == -.max)
    #expect(warden_mask_round(.max, .max, .min, .max) == .max)
    #expect(warden_mask_round(.min, 1, .min, .max) == .min)
    #expect(warden_mask_round_float(1234.5, 100, 64) == 1200)
    #expect(warden_mask_round_float(3.4e38, 1e38, 32).isFinite)
    #expect(warden_mask_round_float(.nan, 1, 64).isNaN)
    #expect(warden_mask_round_float(.infinity, 1, 64) == .infinity)
    #expect(warden_mask_round_float(5, -1, 64) == 5)
  }

  /// Days from 2000-01-01, as PostgreSQL's own date_trunc has them.
  @Test(
    arguments: [
      (8825, "month", 8797), (8825, "quarter", 8766), (8825, "year", 8766), (8825, "decade", 7305), (8825, "day", 8825),
      (-4593, "year", -4748), (-4593, "decade", -7305), (-730_120, "year", -730_485), (0, "year", 0),
      (-1, "month", -31),
    ] as [(Int64, String, Int64)])
  func unitsBegin(_ day: Int64, _ unit: String, _ begin: Int64) {
    #expect(warden_mask_begin_day(day, arena.text(unit), .min) == begin)
    let perDay: Int64 = 86_400_000_000
    #expect(warden_mask_begin_instant(day * perDay + 86_399_999_999, arena.text(unit), .min) == begin * perDay)
  }

  @Test func unitsOfExtremes() {
    for unit in ["hour", "day", "month", "quarter", "year", "decade", "", "century"] {
      for value in [Int64.min, .min + 1, -1, 0, .max] {
        #expect(warden_mask_begin_instant(value, arena.text(unit), -5) >= -5)
        #expect(warden_mask_begin_day(value, arena.text(unit), -5) >= -5)
      }
    }
    #expect(warden_mask_begin_instant(-1, arena.text("hour"), .min) == -3_600_000_000)
  }
}

// MARK: - Networks, cards

extension MaskMethodTests {
  @Test(
    arguments: [
      ([10, 1, 2, 3], 32, 24, [10, 1, 2, 0], 24), ([10, 1, 2, 3], 8, 24, [10, 0, 0, 0], 8),
      ([255, 255, 255, 255], 32, 9, [255, 128, 0, 0], 9), ([1, 2, 3, 4], 32, 0, [0, 0, 0, 0], 0),
      ([1, 2, 3, 4], -1, 24, [0, 0, 0, 0], 0), ([1, 2, 3, 4], 900, 800, [1, 2, 3, 4], 800),
    ] as [([UInt8], Int32, Int32, [UInt8], Int32)])
  func networks(_ address: [UInt8], _ prefix: Int32, _ kept: Int32, _ network: [UInt8], _ length: Int32) {
    var out = arena.buffer(16)
    #expect(warden_mask_network(arena.text(address), prefix, kept, &out) == length)
    #expect(Array(UnsafeBufferPointer(start: out.bytes, count: Int(out.length))) == network)
  }

  @Test(arguments: [
    ("4111 1111 1111 1234", "****1234"), ("4111-1111-1111-1234 ", "****1234"), ("+39 02 1234 5678", "****5678"),
    ("12345678", "****"), ("123456789", "****6789"), ("1-2-3-4-5-6-7-8", "****"), ("", "****"),
    ("-------------", "****"), ("ééééééééé", "****éééé"), ("DE89 3704 0044 0532 0130 00", "****3000"),
  ])
  func lastFour(_ value: String, _ result: String) {
    #expect(last4(Array(value.utf8)) == Array(result.utf8))
  }

  @Test func lastFourOfOtherEncodings() {
    let latin = [UInt8](repeating: 0xe9, count: 9)
    #expect(last4(latin) == Array("****".utf8))
    #expect(last4(latin, WARDEN_ENCODING_SINGLE_BYTE) == Array("****".utf8) + [0xe9, 0xe9, 0xe9, 0xe9])
    #expect(last4(Array("4111111111111234".utf8), WARDEN_ENCODING_OPAQUE) == Array("****".utf8))
    #expect(last4(Array("41111111111112".utf8) + [0xf0, 0x9f]) == Array("****".utf8))
  }
}
