import Contract
import Testing

// What method scrub finds in free text, and what it leaves alone.

@Suite struct MaskScrubTests {
  /// What was found stands in ⟦⟧ with the marker's letter: e-mail, phone, card, iban, id, address, key.
  static let found = [
    // E-mail addresses.
    "write to ⟦e:alice@example.com⟧ today", "⟦e:bob.smith+news@mail.example.co.uk⟧", "<⟦e:carol@example.org⟧>",
    "mailto:⟦e:dave@example.net⟧?subject=x", "from ⟦e:o'neil@example.ie⟧.", "'⟦e:eve@example.com⟧'",
    "⟦e:jörg@müller.de⟧", "⟦e:用户@例子.广告⟧", "⟦e:a_b-c@x-y.io⟧,⟦e:d@e.fr⟧;⟦e:g@h.it⟧", "⟦e:\"john doe\"@example.com⟧",
    "⟦e:fred @ example.com⟧", "⟦e:ALICE@EXAMPLE.COM⟧", "⟦e:x@xn--bcher-kva.example⟧", "(⟦e:gina@example.com⟧)",
    "⟦e:5551234567@example.com⟧", "⟦e:hal@example.museum⟧...", "cc:⟦e:ida@a.b.c.d.example⟧", "⟦e:j@k.lm⟧",
    "⟦e:al\u{AD}ice@exam\u{200B}ple.com⟧", "⟦e:alice＠example.com⟧", "⟦e:ａｌｉｃｅ@example．com⟧",
    "see ⟦e:git@github.com⟧:o/r.git",
    // Phones.
    "⟦p:+49 171 1234567⟧", "⟦p:+1-202-555-0143⟧", "⟦p:+442079460958⟧", "call ⟦p:+33 1 23 45 67 89⟧ now",
    "⟦p:(202) 555-0143⟧", "⟦p:202-555-0143⟧", "⟦p:202.555.0143⟧", "⟦p:1-800-555-0199⟧", "⟦p:202 555 0143⟧",
    "⟦p:+49 (0) 30 123456⟧", "⟦p:0049 30 1234567⟧", "⟦p:020 7946 0958⟧", "⟦p:07911 123456⟧", "⟦p:07911123456⟧",
    "⟦p:030/1234567⟧", "⟦p:0171-1234567⟧", "⟦p:06 12 34 56 78⟧", "⟦p:01.23.45.67.89⟧", "⟦p:01.02.20.24.30⟧",
    "⟦p:044 668 18 00⟧", "⟦p:0412 345 678⟧", "⟦p:98765 43210⟧", "⟦p:13800138000⟧", "⟦p:138 0013 8000⟧",
    "⟦p:(11) 98765-4321⟧", "tel ⟦p:5551234567⟧", "Phone: ⟦p:555-0143⟧", "call me at ⟦p:5550143⟧", "Fax ⟦p:612 345 677⟧",
    "mobile ⟦p:612345678⟧", "whatsapp ⟦p:600 123 456⟧", "⟦p:+7 495 123-45-67⟧", "⟦p:+86 138 0013 8000⟧",
    "⟦p:+49\u{A0}171\u{A0}1234567⟧", "⟦p:＋４９ 171 1234567⟧", "⟦p:202‑555‑0143⟧", "⟦p:2\u{200B}02-555-0143⟧",
    "⟦p:+٤٩ ١٧١ ١٢٣٤٥٦٧⟧", "my number is⟦p:+4917112345678⟧",
    // Cards.
    "⟦c:4111111111111111⟧", "⟦c:4111 1111 1111 1111⟧", "⟦c:4111-1111-1111-1111⟧", "⟦c:5555 5555 5555 4444⟧",
    "⟦c:3782 822463 10005⟧", "⟦c:378282246310005⟧", "⟦c:6011111111111117⟧", "⟦c:3530111333300000⟧",
    "⟦c:30569309025904⟧", "⟦c:2223003122003222⟧", "⟦c:6282000000000006⟧", "⟦c:41111111 11111111⟧",
    "⟦c:4111.1111.1111.1111⟧", "card ⟦c:4111 1111 1111 1111⟧ 123", "⟦c:4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1⟧",
    "no:⟦c:4111111111111111⟧,", "⟦c:４１１１１１１１１１１１１１１１⟧", "⟦c:4111\u{A0}1111\u{202F}1111 1111⟧",
    "⟦c:4111\u{AD}1111\u{200D}11111111⟧", "x⟦c:4111111111111111⟧", "⟦c:4111–1111–1111–1111⟧",
    "#⟦c:4111111111111111⟧ ⟦c:4111111111111111⟧", "⟦c:4222222222222⟧",
    // Identity numbers.
    "ssn ⟦i:536-22-1234⟧", "⟦i:536 22 1234⟧", "SSN: ⟦i:536221234⟧", "SSN-⟦i:536-22-1234⟧", "⟦i:AB123456C⟧",
    "⟦i:AB 12 34 56 C⟧", "⟦i:ab-12-34-56-c⟧", "⟦i:71358952543⟧", "⟦i:81 406 947 423⟧", "⟦i:119065989090287⟧",
    "⟦i:2 29 09 42 113 285 22⟧", "⟦i:66298603E⟧", "⟦i:66298603-e⟧", "⟦i:17.021.102-K⟧", "⟦i:X1551477N⟧",
    "⟦i:Z-4956483-B⟧", "⟦i:RSSMRA85T10A562S⟧", "⟦i:rssmra85t10a562s⟧", "BSN ⟦i:101025646⟧", "⟦i:1862.53.552⟧",
    "⟦i:055.500.772-30⟧", "⟦i:15473203035⟧", "⟦i:56050376680⟧", "PESEL ⟦i:30040634204⟧", "⟦i:6070 7620 0880⟧",
    "⟦i:711371703071⟧", "⟦i:756.8638.3151.16⟧", "⟦i:7568291390789⟧", "⟦i:840827-3293⟧", "⟦i:8408273293⟧",
    "⟦i:19840827-3293⟧", "⟦i:198408273293⟧", "⟦i:08124531900⟧", "⟦i:081245 31900⟧", "⟦i:96.06.04-074.21⟧",
    "⟦i:66061377173⟧", "⟦i:52907200656⟧", "⟦i:261029197807264394⟧", "⟦i:150189-686K⟧", "⟦i:060970-505F⟧",
    "⟦i:130-692-544⟧", "⟦i:900101-1234567⟧", "⟦i:150124-1234⟧", "⟦i:1１906５989090287⟧",
    // IBANs.
    "⟦b:DE89370400440532013000⟧", "⟦b:DE89 3704 0044 0532 0130 00⟧", "⟦b:GB29 NWBK 6016 1331 9268 19⟧",
    "⟦b:FR1420041010050500013M02606⟧", "IBAN:⟦b:NL91ABNA0417164300⟧.", "⟦b:no9386011117947⟧",
    "⟦b:ES9121000418450200051332⟧", "⟦b:IT60X0542811101000000123456⟧", "⟦b:CH93-0076-2011-6238-5295-7⟧",
    "⟦b:MT84MALT011000012345MTLCAST001S⟧", "⟦b:PL61109010140000071219812874⟧",
    "⟦b:DE89\u{A0}3704\u{A0}0044\u{A0}0532\u{A0}0130\u{A0}00⟧",
    // Addresses of networks.
    "from ⟦a:192.168.1.17⟧", "http://⟦a:10.0.0.1⟧:8080/x", "⟦a:2001:db8::1⟧", "⟦a:fe80::1ff:fe23:4567:890a⟧",
    "⟦a:2001:0db8:85a3:0000:0000:8a2e:0370:7334⟧", "[⟦a:2001:db8::2⟧]:443", "⟦a:::ffff:192.0.2.128⟧",
    "⟦a:8.8.8.8⟧,⟦a:8.8.4.4⟧", "ip:⟦a:203.0.113.9⟧", "src=⟦a:198.51.100.7⟧ dst", "root@⟦a:10.1.2.3⟧",
    "client:⟦a:2001:db8::3⟧",
    // Keys, tokens, passwords.
    "⟦k:AKIAIOSFODNN7EXAMPLE⟧", "token ⟦k:ghp_16C7e42F292c6912E7710c838347Ae178B4a⟧",
    "⟦k:xoxb-17653672481-19874698323-pdFZKVeTuE8sk7⟧", "⟦k:sk_live_4eC39HqLyjWDarjtT1zdp7dc⟧",
    "⟦k:rk_test_4eC39HqLyjWDarjt⟧", "⟦k:AIzaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe⟧",
    "⟦k:eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U⟧",
    "Bearer ⟦k:mF_9.B5f-4.1JqM⟧", "Authorization: Basic ⟦k:dXNlcjpwYXNzd29yZA==⟧", "password=⟦k:hunter2⟧",
    "PASSWORD: ⟦k:correct-horse⟧", "\"password\": \"⟦k:my secret words⟧\"", "pwd=⟦k:x⟧;", "client_secret=⟦k:abc⟧&x=1",
    "api_key: ⟦k:a1b2c3d4⟧", "X-Api-Key: ⟦k:a1b2c3d4⟧", "postgres://⟦k:bob:hunter2⟧@db.example/x",
    "amqp://⟦k:guest:gu?st#1⟧@mq:5672", "https://⟦k:u:p⟧@h/", "⟦k:glpat-A1b2C3d4E5f6G7h8I9j0⟧",
    "⟦k:npm_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8⟧", "md5 ⟦k:9e107d9d372bb6826bd81d3542a419d6⟧",
    "⟦k:2fd4e1c67a2d28fced849ee1bb76e7391b93eb12⟧", "⟦k:q8Zt3LmX0vB7nR2kYw5dJ9sHf4Gc6TpE1uAoKi⟧",
    "my password is ⟦k:hunter2!⟧.", "aws_secret_access_key = ⟦k:wJalrXUtnFEMI/K7MDENG/bPx⟧",
    "⟦k:-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----⟧ end",
    "⟦k: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⟧", "secret='⟦k:s3 cr3t⟧'",
    "token=⟦k:abcd1234⟧", "⟦k:hf_A1b2C3d4E5f6G7h8I9j0K1l2M3n4⟧", "⟦k:sk-proj-A1b2C3d4E5f6G7h8I9j0⟧",
    "passwd => '⟦k:x⟧'", "AccountKey=⟦k:Zm9vYmFy==⟧;",
  ]

  static let leftAlone = [
    "", "nothing here", "@", "@@@@", "user@", "@alice", "me @home", "a@b", "pkg@1.2.3", "meet @ noon", "x@y z",
    "foo@bar", "alice at example dot com", "https://example.com/@alice", "C++ std::vector", "A::B::C", "a ratio 16:9",
    "12:30:45", "10:30", "2024-01-15", "15.01.2024", "01/15/2024", "2024-01-15T10:30:00Z", "2024-01-15 10:30:00",
    "01.02.2024 10:30", "01/02/2024 10:30", "20240115103000", "1705312200", "1705312200000", "version 1.2.3.4",
    "v1.2.3.4", "release 10.4.2.1", "1.2.3", "10.4.2", "999.1.1.1", "1.2.3.4.5", "3.14159265358979",
    "0.4111111111111111", "1,234,567.89", "€ 1.234,56", "$5,000", "order 123456", "order 1234567",
    "order no. 123456789", "ISBN 978-3-16-148410-0", "ISBN 9783161484100", "zip 12345-6789", "pages 100-200",
    "1999-2004", "48.8566, 2.3522", "1920x1080", "room 101", "4111111111111112", "4111 1111 1111 1112", "1234567890123",
    "7111111111111111", "9999999999999995", "536-00-1234", "666-22-1234", "900-22-1234", "000-12-3456",
    "DE88370400440532013000", "XX89370400440532013000", "GB29 NWBK 6016 1331 9268 18", "66298603F", "12345678",
    "X1551477M", "RSSMRA85T10A562T", "BSN 101025647", "7135895254", "71358952544", "119065989090288", "354.732.030-36",
    "7568638315117", "6070 7620 0881", "849927-3294", "991332-1234", "550e8400-e29b-41d4-a716-446655440000",
    "12345678-1234-1234-1234-411111111111", "00:1B:44:11:3A:B7", "::", "::1", "the password must be long",
    "reset your password", "a token of thanks", "the key is under the mat", "pin: none", "Basic training",
    "bearer of news", "bypass: ok", "token: none", "https://example.com:8080/a@b", "password=",
    "/usr/local/lib/python3/site-packages/requests/adapters", "ThisIsAVeryLongCamelCaseIdentifierWithWords", "sk-learn",
    "antidisestablishmentarianism-and-other-long-words", "deadbeef", "0xDEADBEEF", "#ff8800",
    "abcdefabcdefabcdefabcdefabcdefab", "12 cm, 30 kg, 5%", "1/2 + 3/4", "(see 4)", "2 + 2 = 4", "x = 10", "ABC123",
    "AB123456", "room 12-34-56", "3-2 on aggregate", "日本語のテキスト", "naïve café", "１２３", "soft\u{AD}hyphen",
    "zero\u{200B}width", "١٢٣", "100 000 000", "12 345 678 901",
  ]

  private static let markers: [Character: String] = [
    "e": "[email]", "p": "[phone]", "c": "[card]", "b": "[iban]", "i": "[id]", "a": "[ip]", "k": "[key]",
  ]

  /// The text without the signs, and the text as it must come out.
  private func expectation(_ text: String) -> (given: String, wanted: String) {
    var given = ""
    var wanted = ""
    for (number, part) in text.split(separator: "⟦", omittingEmptySubsequences: false).enumerated() {
      guard number > 0, let close = part.firstIndex(of: "⟧"), let letter = part.first else {
        given += part
        wanted += part
        continue
      }
      given += part[part.index(part.startIndex, offsetBy: 2)..<close] + part[part.index(after: close)...]
      wanted += (Self.markers[letter] ?? "?") + part[part.index(after: close)...]
    }
    return (given, wanted)
  }

  private func scrub(_ bytes: [UInt8], _ encoding: WardenEncoding = WARDEN_ENCODING_UTF8, room: Int? = nil) -> String? {
    let arena = Arena()
    var (work, out) = (arena.buffer(bytes.count), arena.buffer(room ?? bytes.count * 2 + 16))
    guard warden_mask_scrub(arena.text(bytes), encoding, &work, &out) else { return nil }
    return string(out)
  }

  @Test func enoughIsTried() {
    #expect(Self.found.count >= 150 && Self.leftAlone.count >= 80)
  }

  @Test(arguments: found) func isFound(_ text: String) {
    let (given, wanted) = expectation(text)
    #expect(given != wanted)
    #expect(scrub(Array(given.utf8)) == wanted)
    // In a sentence as well.
    #expect(scrub(Array("Dear all: \(given) \nRegards".utf8)) == "Dear all: \(wanted) \nRegards")
  }

  @Test(arguments: leftAlone) func isLeftAlone(_ text: String) {
    #expect(scrub(Array(text.utf8)) == text)
  }

  @Test func privateKeyWithoutAnEndHidesTheRest() {
    #expect(scrub(Array("x -----BEGIN PRIVATE KEY-----\nMII\nmore".utf8)) == "x [key]")
  }

  @Test func otherEncodings() {
    #expect(
      scrub([0xE4, 0x20] + Array("a@b.de".utf8) + [0x20, 0xFC], WARDEN_ENCODING_SINGLE_BYTE)
        == "\u{FFFD} [email] \u{FFFD}")
    // No-break spaces of Latin 1.
    #expect(scrub(Array("4111".utf8) + [0xA0] + Array("1111 1111 1111".utf8), WARDEN_ENCODING_SINGLE_BYTE) == "[card]")
    #expect(scrub(Array("harmless".utf8), WARDEN_ENCODING_OPAQUE) == "[redacted]")
    // Torn UTF-8 is passed on as it is.
    #expect(scrub([0xE2, 0x80] + Array("a@b.de".utf8)) != nil)
  }

  @Test func noRoomIsTold() {
    #expect(scrub(Array("a@b.de".utf8), room: 6) == nil)
    #expect(scrub(Array("some text".utf8), room: 8) == nil)
  }

  static let hostile = [
    "@", "a@", "@a", "a@b.", ".", "1", "1 ", "1-", "12 ", "1.", ":", "::", "a:", "f:", "-", "-----BEGIN ", "sk-", "eyJ",
    "eyJ-", "=", "pin=", "pin='", "password=\"", "://", "://a:", "+1", "(1", "0", "00 ", "DE12", "AB12 ", "ghp_",
    "\u{200B}", "\u{200B}1", "１", "\"@", "x\"@a.b", "AKIA", "A1b", "tel 1234567", "Bearer ", "1234567 ", "４111 ", "é",
    "a.a@",
  ]

  /// Time in proportion to the length: where it grew with its square, these would take minutes.
  @Test(arguments: hostile) func hostileTextEnds(_ piece: String) {
    let bytes = Array(String(repeating: piece, count: 200_000 / piece.utf8.count).utf8)
    let clock = ContinuousClock()
    var result: String?
    let time = clock.measure { result = scrub(bytes) }
    #expect(result != nil)
    #expect(time < .seconds(5), "\(piece): \(time)")
  }
}
