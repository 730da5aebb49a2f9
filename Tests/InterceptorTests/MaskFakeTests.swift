import Contract
import Testing

// Fake values: of the right form, decided by the digest, belonging to nobody.

@Suite struct MaskFakeTests {
  /// A digest like one of HMAC-SHA-256: SplitMix64 from the number on.
  private static func digest(_ number: Int) -> [UInt8] {
    var state = UInt64(number)
    return (0..<4).flatMap { _ -> [UInt8] in
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      mixed ^= mixed >> 31
      return (0..<8).map { UInt8(truncatingIfNeeded: mixed >> UInt64($0 * 8)) }
    }
  }

  private static func fake(
    _ kind: String, _ number: Int, limit: Int32 = -1, value: String = "x", digest: [UInt8]? = nil, room: Int = 128
  ) -> String? {
    let arena = Arena()
    var out = arena.buffer(room)
    let made = warden_mask_fake(
      arena.text(kind), arena.text(digest ?? Self.digest(number)), arena.text(value), limit, &out)
    return made ? string(out) : nil
  }

  private static let kinds = [
    "name", "first_name", "last_name", "username", "email", "phone", "address", "street", "city", "postcode", "country",
    "company", "card", "iban", "ip", "uuid", "date", "url",
  ]

  @Test(arguments: kinds) func digestDecides(_ kind: String) {
    let values = (0..<500).map { Self.fake(kind, $0) }
    #expect(values == (0..<500).map { Self.fake(kind, $0) })
    #expect(Set(values).count > 30)
    #expect(values.allSatisfy { $0?.utf8.allSatisfy { $0 >= 32 && $0 < 127 } == true })
  }

  @Test(arguments: ["email", "username", "iban", "uuid", "url"]) func noTwoAreTheSame(_ kind: String) {
    #expect(Set((0..<20000).compactMap { Self.fake(kind, $0) }).count == 20000)
  }

  /// The fewest characters that the kind is refused below, and every length from there on.
  @Test(arguments: kinds) func fits(_ kind: String) throws {
    let fewest = try #require((1...40).first { Self.fake(kind, 1, limit: Int32($0)) != nil })
    #expect(fewest > 1 && Self.fake(kind, 2, limit: Int32(fewest - 1)) == nil && Self.fake(kind, 3, limit: 0) == nil)
    for limit in fewest...60 {
      for number in 0..<50 {
        let value = try #require(Self.fake(kind, number, limit: Int32(limit)))
        #expect(!value.isEmpty && value.count <= limit && value.last != " " && value.last != ",")
      }
    }
  }

  private static var shapes: [(kind: String, shape: Regex<Substring>)] {
    [
      ("email", /[a-z]+(?:\.[a-z]+\.)?[a-z0-9]{8}@example\.(?:com|org|net)/),
      ("phone", /\+1-[2-9][0-8][0-9]-555-01[0-9]{2}/), ("name", /[A-Z][a-z]+ [A-Z][A-Za-z]+/),
      ("card", /400000[0-9]{10}/), ("iban", /DE[0-9]{2}0[0-9]{17}/), ("postcode", /[0-9]{5}/),
      ("ip", /(?:192\.0\.2|198\.51\.100|203\.0\.113|198\.1[89]\.[0-9]{1,3})\.[0-9]{1,3}/),
      ("uuid", /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/),
      ("date", /(?:19[3-9]|200)[0-9]-[01][0-9]-[0-3][0-9]/),
      ("address", /[0-9]+ [A-Za-z]+ [A-Z][a-z]+, [A-Z][a-z]+ [0-9]{5}/),
    ]
  }

  @Test func haveTheShape() throws {
    for (kind, shape) in Self.shapes {
      for number in 0..<300 {
        let value = try #require(Self.fake(kind, number))
        #expect(value.wholeMatch(of: shape) != nil, "\(kind): \(value)")
      }
    }
  }

  @Test func checkDigitsAreRight() throws {
    for number in 0..<500 {
      let card = try #require(Self.fake("card", number)).reversed().compactMap(\.wholeNumberValue)
      let sum = card.enumerated().reduce(0) { sum, digit in
        let double = digit.element * 2
        return sum + (digit.offset % 2 == 0 ? digit.element : double > 9 ? double - 9 : double)
      }
      #expect(card.count == 16 && sum % 10 == 0)
      let iban = try #require(Self.fake("iban", number))
      let turned = iban.dropFirst(4) + iban.prefix(4)
      #expect(turned.reduce(0) { ($0 * ($1.isLetter ? 100 : 10) + (Int(String($1), radix: 36) ?? 0)) % 97 } == 1)
    }
  }

  @Test func addressKeepsItsFamily() {
    #expect(Self.fake("ip", 7, value: "10.0.0.1/32")?.contains(":") == false)
    #expect(Self.fake("ip", 7, value: "fe80::1")?.hasPrefix("2001:db8:") == true)
    // Where the longest of version 6 has no room.
    #expect(Self.fake("ip", 7, limit: 20, value: "fe80::1")?.contains(".") == true)
  }

  @Test func otherwiseNothing() {
    #expect(Self.fake("nickname", 1) == nil && Self.fake("", 1) == nil && Self.fake("Email", 1) == nil)
    #expect(Self.fake("email", 1, digest: []) == nil && Self.fake("email", 1, digest: [1, 2, 3]) == nil)
    #expect(Self.fake("email", 1, room: 10) == nil)
    for byte in [UInt8(0), 255] {
      for kind in Self.kinds {
        #expect(Self.fake(kind, 0, digest: Array(repeating: byte, count: 32))?.isEmpty == false)
      }
    }
  }
}
