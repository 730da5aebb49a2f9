import Contract
import Testing

@testable import Interceptor

/// Parameters are a literal that PostgreSQL reads as the array it was made from; what must not be stored is not.
@Suite struct ParameterTests {
  private struct Given {
    var value: String?
    var full: Int64 = 0
    var sensitive = false
  }

  private func row(
    _ given: [Given], mode: WardenParameterMode = WARDEN_PARAMETERS_REDACTED, statement: String = "SELECT $1",
    hasSecret: Bool = false, error: String? = nil
  ) -> Row? {
    let ring = TestRing()
    var record = ring.lender.record(statement)
    let parameters = given.map {
      WardenParameter(value: ring.lender.text($0.value), full_length: $0.full, sensitive: $0.sensitive)
    }
    record.parameters = UnsafePointer(ring.lender.list(parameters))
    record.parameter_count = Int64(parameters.count)
    record.parameter_mode = mode
    record.has_secret = hasSecret
    let position = ring.append(record)
    if let error { _ = ring.complete(position, ring.lender.completion(sqlstate: "22P02", error: error)) }
    return collect([ring]).rows.first
  }

  private func list(_ values: [String?], mode: WardenParameterMode = WARDEN_PARAMETERS_REDACTED) -> String? {
    row(values.map { Given(value: $0) }, mode: mode)?["parameters"]
  }

  private static let quoted: [([String?], String)] = [
    ([nil], "{NULL}"), (["a"], "{a}"), ([""], "{\"\"}"), (["NULL"], "{\"NULL\"}"),
    (["null", "nUlL"], "{\"null\",\"nUlL\"}"), (["nulls"], "{nulls}"), (["b c"], "{\"b c\"}"),
    (["with \"quotes\""], "{\"with \\\"quotes\\\"\"}"),
    (["back\\slash"], "{\"back\\\\slash\"}"), (["{1,2}"], "{\"{1,2}\"}"), (["a,b"], "{\"a,b\"}"),
    (["\t", "\n", "\u{B}", "\u{C}", "\r"], "{\"\t\",\"\n\",\"\u{B}\",\"\u{C}\",\"\r\"}"),
    (["'x'"], "{'x'}"), (["é😀"], "{é😀}"), (["1", nil, "-2.5e10"], "{1,NULL,-2.5e10}"), (["a\u{0}b"], "{\"a?b\"}"),
  ]

  @Test(arguments: quoted) func theServersOwnQuoting(_ values: [String?], _ expected: String) {
    #expect(list(values) == expected)
    #expect(list(values, mode: WARDEN_PARAMETERS_FULL) == expected)
    #expect(list(values, mode: WARDEN_PARAMETERS_NONE) == nil)
  }

  @Test func noParametersNoList() {
    #expect(list([]) == nil)
    let ring = TestRing()
    for count in [Int64.min, -1, 3, Int64.max] {
      var record = ring.lender.record()
      record.parameters = nil
      record.parameter_count = count
      record.parameter_mode = WARDEN_PARAMETERS_FULL
      #expect(ring.append(record) >= 0)
    }
    var record = ring.lender.record()
    record.parameters = UnsafePointer(ring.lender.list([WardenParameter()]))
    record.parameter_count = -1
    record.parameter_mode = WARDEN_PARAMETERS_FULL
    #expect(ring.append(record) >= 0)
    #expect(collect([ring]).rows.map { $0["parameters"] } == [String?](repeating: nil, count: 5))
  }

  @Test func sensitiveOnesGo() {
    let given = [Given(value: "abc", sensitive: true), Given(value: "x"), Given(value: nil, sensitive: true)]
    #expect(row(given)?["parameters"] == "{***,x,NULL}")
    #expect(row(given, mode: WARDEN_PARAMETERS_FULL)?["parameters"] == "{abc,x,NULL}")
    #expect(row(given, mode: WARDEN_PARAMETERS_NONE)?["parameters"] == nil)
  }

  @Test(arguments: [WARDEN_PARAMETERS_REDACTED, WARDEN_PARAMETERS_FULL]) func passwordsGo(_ mode: WardenParameterMode) {
    let cases = [
      ("host=h password=hunter2 user=u", "{\"host=h password=*** user=u\"}"),
      ("password='hun ter2' user=u", "{\"password='***' user=u\"}"),
      ("postgres://u:hunter2@h/db", "{postgres://u:***@h/db}"),
      ("ALTER ROLE r PASSWORD 'hunter2'", "{\"ALTER ROLE r PASSWORD '***'\"}"),
      ("{\"password\": \"hunter2\"}", "{\"{\\\"password\\\": ***}\"}"),
      ("it's a passport", "{\"it's a passport\"}"), ("https://h/p", "{https://h/p}"), ("passenger", "{passenger}"),
      ("it's a password", "{***}"), ("'password=' || 'hunter2'", "{***}"),
    ]
    for (value, expected) in cases { #expect(list([value], mode: mode) == expected) }
    let secret = "ALTER ROLE r PASSWORD 'x'"
    let long = "SELECT " + String(repeating: "1 + ", count: 5000) + "f(password => $1)"
    let words = ["SELECT warden.sign_in($1)", "UPDATE u SET password = $1", "SELECT f('passwd', $1)"]
    for statement in words + [secret, long] {
      let row = row([Given(value: "abc"), Given(value: nil)], mode: mode, statement: statement)
      #expect(row?["parameters"] == "{***,NULL}")
    }
    #expect(row([Given(value: "a")], mode: mode, hasSecret: true)?["parameters"] == "{***}")
    for statement in ["SELECT passenger FROM t WHERE a = $1", "SELECT 'http://h' || $1"] {
      #expect(row([Given(value: "abc")], mode: mode, statement: statement)?["parameters"] == "{abc}")
    }
  }

  @Test func longValuesAreCut() {
    let long = String(repeating: "x", count: 5000)
    #expect(list([long]) == "{\"" + long.prefix(1024) + " ... [1024 of 5000 bytes]\"}")
    #expect(list([String(repeating: "é", count: 600)])?.hasSuffix("é ... [1024 of 1200 bytes]\"}") == true)
    #expect(list(["x" + String(repeating: "é", count: 600)])?.hasSuffix("é ... [1023 of 1201 bytes]\"}") == true)
    #expect(list([String(repeating: "x", count: 1024)]) == "{" + long.prefix(1024) + "}")
    #expect(row([Given(value: "abc", full: 5000)])?["parameters"] == "{\"abc ... [3 of 5000 bytes]\"}")
    for full in [Int64.min, -1, 0, 2, 3] {
      #expect(row([Given(value: "abc", full: full)])?["parameters"] == "{abc}")
    }
    let most = row([Given(value: "abc", full: Int64.max)])?["parameters"]
    #expect(most == "{\"abc ... [3 of 9223372036854775807 bytes]\"}")
  }

  /// A cut in a character by whoever gave the beginning.
  @Test func tornCharactersGo() {
    let ring = TestRing()
    var record = ring.lender.record()
    let value = WardenParameter(value: ring.lender.text([0x61, 0xF0, 0x9F, 0x98]), full_length: 100, sensitive: false)
    record.parameters = UnsafePointer(ring.lender.list([value]))
    record.parameter_count = 1
    record.parameter_mode = WARDEN_PARAMETERS_FULL
    ring.append(record)
    #expect(collect([ring]).rows[0]["parameters"] == "{\"a ... [1 of 100 bytes]\"}")
  }

  @Test func manyAreCut() throws {
    let values = [String](repeating: String(repeating: "\"", count: 1000), count: 20)
    let text = try #require(list(values))
    #expect(text.utf8.count <= 8192 && text.hasSuffix(",\"... [4 of 20 parameters]\"}"), "\(text.suffix(40))")
    let short = try #require(list([String?](repeating: "1", count: 60_000)))
    #expect(short.utf8.count <= 8192 && short.hasSuffix(" of 60000 parameters]\"}"))
  }

  @Test func errorsDoNotRepeatThem() {
    let message = "invalid input syntax for type integer: \"abc\""
    let clean = "invalid input syntax for type integer: ***"
    let sensitive = [Given(value: "abc", sensitive: true)]
    #expect(row(sensitive, error: message)?["error"] == clean)
    #expect(row(sensitive, mode: WARDEN_PARAMETERS_NONE, error: message)?["error"] == clean)
    #expect(row(sensitive, mode: WARDEN_PARAMETERS_FULL, error: message)?["error"] == message)
    #expect(row([Given(value: "abc")], error: message)?["error"] == message)
    #expect(row([Given(value: "abc")], hasSecret: true, error: message)?["error"] == clean)
    let secret = "UPDATE u SET password = $1"
    #expect(row([Given(value: "abc")], statement: secret, error: message)?["error"] == clean)
  }
}
