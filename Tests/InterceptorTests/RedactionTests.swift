import Contract
import Testing

@testable import Interceptor

/// A literal that C points at is not in the audit, whatever its form, whatever the offset; nor is it in the message
/// of the error that it caused.
@Suite struct RedactionTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let statement: String
    let at: [Int32]
    let recorded: String
    var testDescription: String { "\(statement) at \(at)" }

    init(_ statement: String, _ at: [Int32], _ recorded: String) {
      self.statement = statement
      self.at = at
      self.recorded = recorded
    }
  }

  private func redacted(
    _ statement: String, _ offsets: [Int32], hasSecret: Bool = false, limit: Int64 = 16384
  ) -> String? {
    let ring = TestRing()
    var record = ring.lender.record(statement, limit: limit)
    record.redacted = UnsafePointer(ring.lender.list(offsets))
    record.redacted_count = Int64(offsets.count)
    record.has_secret = hasSecret
    guard ring.append(record) >= 0 else { return nil }
    return collect([ring]).rows.first?["statement"]
  }

  @Test(arguments: [
    Case("a = 'x' AND b", [4], "a = '***' AND b"),
    Case("a = 'it''s' AND b", [4], "a = '***' AND b"),
    Case("a = 'x'\n  'y' AND b", [4], "a = '***' AND b"),
    Case("a = 'x' -- c\n -- d\n 'y' AND b", [4], "a = '***' AND b"),
    Case("a = 'x' 'y'", [4], "a = '***' 'y'"),
    Case("a = E'x\\'y' AND b", [4], "a = '***' AND b"),
    Case("a = e'x\\\\' AND b", [4], "a = '***' AND b"),
    Case("a = U&'\\0041' AND b", [4], "a = '***' AND b"),
    Case("a = B'01' AND x'ff' = N'z'", [4, 14, 22], "a = '***' AND '***' = '***'"),
    Case("a = $$x'y$$ AND b", [4], "a = '***' AND b"),
    Case("a = $t$x$$y$t$ AND b", [4], "a = '***' AND b"),
    Case("a = 5 AND b", [4], "a = *** AND b"),
    Case("a = -5 AND b", [4], "a = *** AND b"),
    Case("a = - /* c */ 5 AND b", [4], "a = *** AND b"),
    Case("a = +1.5e-10;", [4], "a = ***;"),
    Case("a = .5;b = 5.", [4, 11], "a = ***;b = ***"),
    Case("a = 0xAE-5", [4], "a = ***-5"),
    Case("a = 1_000", [4], "a = ***"),
    Case("a IS true AND NULL", [5, 14], "a IS *** AND ***"),
    Case("a IN ('x','y',3)", [6, 10, 14], "a IN ('***','***',***)"),
    Case("a = DATE '2026-01-01' AND b", [4], "a = '***' AND b"),
    Case("a = DATE '2026-01-01' AND b", [9], "a = DATE '***' AND b"),
    Case("a = $1 AND b", [4], "a = *** AND b"),
    Case("a = \"x\"\"y\" AND b", [4], "a = '***' AND b"),
    Case("é = 'é' AND b", [5], "é = '***' AND b"),
    Case("''", [0], "'***'"),
    Case("5", [0], "***"),
  ]) func whateverItsForm(_ test: Case) {
    #expect(redacted(test.statement, test.at) == test.recorded)
  }

  @Test(arguments: [
    // out of range
    Case("a = 'x'", [-1, -5, Int32.min, 7, 8, Int32.max], "a = 'x'"),
    Case("", [0, 1], ""),
    // out of order, twice, within what is gone already
    Case("a IN ('x','y',3)", [14, 6, 10, 6], "a IN ('***','***',***)"),
    Case("a = 'xyz' AND b", [4, 6], "a = '***'"),
    Case("a = 'xyz' AND b = 'c'", [4, 8], "a = '***'c'"), Case("a = 'xyz' AND b", [4, 8], "a = '***'"),
    // at no literal
    Case("a = lower(b)", [4], "a = ***(b)"),
    Case("a = 'x'", [2], "a *** 'x'"),
    Case("a = 'x'", [3], "a = '***'"),
    Case("a = /* c */ 'x'", [4, 12], "a = *** '***'"),
    Case("a = /* 'x", [4, 7], "a = ***"), Case("a = --\n'x'", [4, 7], "a = ***\n'***'"),
    Case("a = 'hello world'", [5], "a = '*** world'"),
    Case("a = éé", [5], "a = \u{FFFD}***"),
    Case("a =  ", [3], "a =  "),
    Case("a = -", [4], "a = ***"),
    // that do not end
    Case("a = 'x AND b", [4], "a = '***'"),
    Case("a = E'x\\' AND b", [4], "a = '***'"),
    Case("a = $t$x$ AND b", [4], "a = '***'"),
    Case("a = \"x AND b", [4], "a = '***'"),
    // whether they end depends on a setting
    Case("a = 'x\\' OR b = 'y'", [4], "a = '***'"),
    Case("a = 'x\\'' OR b = 'y'", [4], "a = '***'"),
  ]) func whateverTheOffset(_ test: Case) {
    #expect(redacted(test.statement, test.at) == test.recorded)
  }

  @Test func hostileCounts() {
    let ring = TestRing()
    for count in [Int64.min, -1, 0, 1, Int64.max] {
      var record = ring.lender.record("a = 'x'")
      record.redacted = nil
      record.redacted_count = count
      #expect(ring.append(record) >= 0)
    }
    var record = ring.lender.record("a = 'x'")
    record.redacted = UnsafePointer(ring.lender.list([Int32(4)]))
    record.redacted_count = -1
    #expect(ring.append(record) >= 0)
    #expect(collect([ring]).rows.map { $0["statement"] } == [String](repeating: "a = 'x'", count: 6))
  }

  @Test func bytesThatAreNotText() throws {
    let ring = TestRing()
    var record = ring.lender.record("")
    record.text = ring.lender.text([0x27, 0xFF, 0, 0xC3, 0x27, 0x20, 0xC3])
    record.redacted = UnsafePointer(ring.lender.list([Int32(0)]))
    record.redacted_count = 1
    ring.append(record)
    #expect(collect([ring]).rows[0]["statement"]?.hasPrefix("'***' ") == true)
  }

  /// With a secret in the same statement both go.
  @Test func togetherWithSecrets() {
    let statement = "SELECT dblink('password=hunter2 x'), 'abc', 5"
    #expect(redacted(statement, [37, 44]) == "SELECT dblink('password=*** x'), '***', ***")
    let role = redacted("ALTER ROLE r PASSWORD 'p' IN 5, 6", [29], hasSecret: true)
    #expect(role == "ALTER ROLE r PASSWORD '***' IN ***, 6")
  }

  /// Wherever the limit falls, nothing of the literal is kept.
  @Test(arguments: 0..<60) func noLimitCutsALiteralOpen(_ limit: Int64) throws {
    let text = try #require(redacted("SELECT 1 FROM t WHERE a = E'\\'xyz' AND b = -987 AND c", [26, 43], limit: limit))
    let kept = text.split(separator: "[")[0]
    #expect(!kept.contains { "xyz987".contains($0) }, "\(text)")
  }

  private func error(
    _ message: String, sqlstate: String = "22P02", outcome: WardenOutcome = WARDEN_OUTCOME_OPEN
  ) -> String? {
    let ring = TestRing()
    var record = ring.lender.record("a = 'abc'")
    record.redacted = UnsafePointer(ring.lender.list([Int32(4)]))
    record.redacted_count = 1
    let completion = ring.lender.completion(sqlstate: sqlstate, error: message)
    if outcome == WARDEN_OUTCOME_OPEN {
      guard ring.complete(ring.append(record), completion) else { return nil }
    } else {
      record.outcome = outcome
      record.completion = completion
      ring.append(record)
    }
    return collect([ring]).rows.first?["error"]
  }

  @Test(arguments: [
    ("invalid input syntax for type integer: \"abc\"", "invalid input syntax for type integer: ***"),
    ("value \"99\" is out of range for type integer", "value *** is out of range for type integer"),
    ("a \"b\"c\" d", "a ***"), ("a \"b", "a ***"), ("a 'b' c \"d\" e", "a *** e"),
    ("a «b» c", "a *** c"), ("a „b“ c", "a *** c"), ("a 「b」 c", "a *** c"), ("a ‘b’ c", "a *** c"),
    ("no 123-45-6789 here", "no ***-***-*** here"), ("division by zero", "division by zero"), ("", ""),
    ("x \"" + String(repeating: "y", count: 300) + "\" z 5", "x ***"),
    ("it's \"" + String(repeating: "y", count: 300), "it***"),
    ("x \"password=hunter2\" password=hunter2", "x *** password=***"),
  ]) func errorsDoNotRepeatIt(_ message: String, _ expected: String) {
    #expect(error(message) == expected || (message.contains("hunter") && error(message)?.contains("hunter") == false))
    #expect(error(message, outcome: WARDEN_OUTCOME_FAILED) == error(message))
  }

  /// The record was taken while its statement ran: an amendment tells the error, and has no text to judge by.
  @Test func amendmentsDoNotRepeatItEither() {
    let ring = TestRing()
    var record = ring.lender.record("a = 'abc'", no: 1)
    record.redacted = UnsafePointer(ring.lender.list([Int32(4)]))
    record.redacted_count = 1
    ring.append(record)
    let withheld = ring.ring.pointee.withheld
    var amendment = ring.lender.record(nil, no: 1, event: WARDEN_EVENT_TRANSACTION, outcome: WARDEN_OUTCOME_FAILED)
    amendment.completion = ring.lender.completion(sqlstate: "22P02", error: "invalid: \"abc\"")
    ring.append(ring.lender.record("SELECT 1", no: 2))
    #expect(ring.ring.pointee.withheld == 0)
    ring.append(amendment)
    amendment.withheld = withheld
    ring.append(amendment)
    amendment.withheld = UInt64.max
    ring.append(amendment)
    #expect(collect([ring]).rows.map { $0["error"] } == [nil, nil, "invalid: \"abc\"", "invalid: ***", "invalid: ***"])
  }

  @Test func whatFunctionsRaiseMayBeTheValue() {
    #expect(error("no such person: abc", sqlstate: "P0001") == "***")
    #expect(error("no such person: abc", sqlstate: "P0004") == "***")
  }

  @Test func refusalsAreOurOwnWords() {
    let message = "reading the masked column public.t.a to change data is blocked by \"g1\""
    #expect(error(message, sqlstate: "42501", outcome: WARDEN_OUTCOME_BLOCKED) == message)
  }

  @Test func otherErrorsStay() {
    let ring = TestRing()
    let message = "relation \"t5\" does not exist"
    #expect(ring.complete(ring.append(ring.lender.record()), ring.lender.completion(sqlstate: "42P01", error: message)))
    #expect(collect([ring]).rows.first?["error"] == message)
  }

  /// Literals of all kinds at offsets of all kinds: never a crash, and what an offset points at is gone.
  @Test(arguments: 1...300) func randomPieces(_ seed: UInt64) throws {
    let pieces = [
      "'", "''", "\"", "$$", "$a$", "\\", "--", "/*", "*/", "\n", " ", "(", ")", ",", ";", "E'", "U&'", "-", "1e", ".5",
      "password", "x", "é", "\u{0}", "$1",
    ]
    var random = SeededGenerator(state: seed)
    var statement = ""
    for _ in 0..<Int.random(in: 0...40, using: &random) { statement += pieces.randomElement(using: &random)! }
    let noise = statement.utf8.count
    statement += " \u{1}7654321 'zyxw'"
    var offsets = (0..<Int.random(in: 0...5, using: &random)).map { _ in Int32.random(in: -2...60, using: &random) }
    offsets += [Int32(noise + 2), Int32(noise + 10)]
    offsets.shuffle(using: &random)
    let text = try #require(redacted(statement, offsets))
    #expect(!text.contains("654") && !text.contains("yx"), "\(statement) at \(offsets) -> \(text)")
    #expect(text.utf8.count <= 3 * statement.utf8.count + 200)
  }

  /// The parser repeats what it does not understand, which where a secret is named may be that.
  @Test(arguments: [
    ("42601", "syntax error at or near \"'hunter2'\"", "syntax error at or near ***"),
    ("22007", "invalid input syntax for type timestamp: \"hunter2\"", "invalid input syntax for type timestamp: ***"),
    ("42704", "role \"ann\" does not exist", "role \"ann\" does not exist"),
  ]) func messageAboutAStatementWithASecret(_ sqlstate: String, _ message: String, _ kept: String) {
    let ring = TestRing()
    let record = ring.lender.record("ALTER ROLE ann PASSWORD 'x' /* */ 'hunter2'")
    #expect(ring.complete(ring.append(record), ring.lender.completion(sqlstate: sqlstate, error: message)))
    #expect(collect([ring]).rows.first?["error"] == kept)
  }
}
