import Contract
import Testing

// The functions that the masking views call.

@Suite struct MaskTextTests {
  struct Partial: Sendable {
    let value: [UInt8]
    let prefix: Int32
    let suffix: Int32
    var fill = "***"
    var encoding = WARDEN_ENCODING_UTF8
    let result: [UInt8]

    init(
      _ value: String, _ prefix: Int32, _ suffix: Int32, _ result: String, fill: String = "***",
      encoding: WardenEncoding = WARDEN_ENCODING_UTF8
    ) {
      self.init(Array(value.utf8), prefix, suffix, Array(result.utf8), fill: fill, encoding: encoding)
    }

    init(
      _ value: [UInt8], _ prefix: Int32, _ suffix: Int32, _ result: [UInt8], fill: String = "***",
      encoding: WardenEncoding = WARDEN_ENCODING_UTF8
    ) {
      self.value = value
      self.prefix = prefix
      self.suffix = suffix
      self.result = result
      self.fill = fill
      self.encoding = encoding
    }
  }

  @Test(arguments: [
    Partial("4111111111111111", 0, 4, "***1111"),
    Partial("4111111111111111", 2, 2, "41***11"),
    Partial("abcde", 1, 1, "a***e"),
    Partial("abcd", 1, 1, "***"),
    Partial("abc", 0, 0, "***"),
    Partial("", 0, 0, "***"),
    Partial("", 1, 1, "***"),
    Partial("äöüßé", 1, 1, "ä***é"),
    Partial("äöüß", 1, 1, "***"),
    Partial("日本語文字列です", 1, 2, "日***です"),
    Partial("😀😁😂", 1, 0, "😀***"),
    Partial("äb", 1, 1, "***", encoding: WARDEN_ENCODING_SINGLE_BYTE),
    Partial([0xE4, 0xF6, 0xFC], 1, 0, [0xE4] + Array("***".utf8), encoding: WARDEN_ENCODING_SINGLE_BYTE),
    Partial("abcdefghij", 1, 1, "***", encoding: WARDEN_ENCODING_OPAQUE),
    Partial("abcde", -5, 1, "***e"),
    Partial("abcde", .max, .max, "***"),
    Partial("abcde", .min, .min, "***"),
    Partial("abcde", 1, 1, "ae", fill: ""),
    // A lead byte without its trailing ones is one character, and takes nothing along.
    Partial([0xF0, 0x61, 0x62, 0x63, 0x64], 1, 0, [0xF0, 0x2A, 0x2A, 0x2A]),
    Partial([0x80, 0x80, 0x80, 0x80, 0xE2], 0, 1, [0x2A, 0x2A, 0x2A, 0xE2]),
  ])
  func partial(_ scenario: Partial) {
    #expect(mask(scenario) == scenario.result)
  }

  @Test func `a result without room is cut`() {
    let whole = Partial("äöüßé", 1, 1, "ä***é")
    for room in 0...8 { #expect(whole.result.starts(with: mask(whole, room: room))) }
  }

  @Test(arguments: [
    ("alice@example.com", "a***@***.com"),
    ("a@b.co", "a***@***.co"),
    ("ümit@example.co.uk", "ü***@***.uk"),
    ("alice@example.xn--p1ai", "a***@***.xn--p1ai"),
    ("", "***"),
    ("alice", "***"),
    ("alice@localhost", "***"),
    ("@example.com", "***"),
    ("alice@.com", "***"),
    ("alice@example.", "***"),
    ("alice@example.c", "***"),
    ("a@b@c.com", "***"),
    ("mail alice@example.com", "***"),
    ("alice@example.com, bob", "***"),
    ("alice@example.4111", "***"),
    ("alice@home.my-card_4111", "***"),
    ("alice@bücher.straße", "***"),
    ("a.b@c", "***"),
  ])
  func email(_ value: String, _ result: String) {
    #expect(mask(email: Array(value.utf8)) == Array(result.utf8))
  }

  @Test func `an e-mail address in an encoding that is not known to us shows nothing`() {
    #expect(mask(email: Array("alice@example.com".utf8), WARDEN_ENCODING_OPAQUE) == Array("***".utf8))
    #expect(mask(email: [0xFC, 0x40, 0x62, 0x2E, 0x64, 0x65], WARDEN_ENCODING_SINGLE_BYTE).first == 0xFC)
    #expect(mask(email: [0xFC, 0x40, 0x62, 0x2E, 0x64, 0x65]) == Array("***".utf8))
  }

  @Test func `random bytes neither trap nor show more than asked for`() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<5000 {
      let value = (0..<Int.random(in: 0...20, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      let masked = mask(Partial(value, 1, 1, []))
      #expect(masked.count <= 3 + 8)
      if value.count < 5 { #expect(masked == Array("***".utf8)) }
      _ = mask(email: value)
    }
  }

  private func mask(_ scenario: Partial, room: Int = 200) -> [UInt8] {
    let arena = Arena()
    var out = arena.buffer(room)
    warden_mask_partial(
      arena.text(scenario.value), scenario.prefix, scenario.suffix, arena.text(scenario.fill), scenario.encoding, &out)
    return Array(UnsafeBufferPointer(start: out.bytes, count: Int(out.length)))
  }

  private func mask(email value: [UInt8], _ encoding: WardenEncoding = WARDEN_ENCODING_UTF8) -> [UInt8] {
    let arena = Arena()
    var out = arena.buffer()
    warden_mask_email(arena.text(value), encoding, &out)
    return Array(UnsafeBufferPointer(start: out.bytes, count: Int(out.length)))
  }
}
