import Contract
import Testing

@testable import Interceptor

/// What goes into a record comes out of it, cut where it is too long; and nothing comes out of what is no record.
@Suite struct RecordTests {
  @Test func everyFieldComesBack() throws {
    let ring = TestRing()
    let lender = ring.lender
    var session = WardenSession()
    session.database = lender.text("shop")
    session.session_user = lender.text("app")
    session.role = lender.text("clerk")
    session.identity = lender.text("alice@example.com")
    session.agent = lender.text("")
    session.application = lender.text("psql")
    session.environment = lender.text("production")
    session.ticket = lender.text("T-1")
    var context = lender.buffer(4096)
    warden_context_encode(&session, &context)
    var record = lender.record("SELECT 1", no: 7)
    record.context = WardenText(bytes: context.bytes, length: context.length)
    record.decision = WARDEN_DECISION_WOULD_BLOCK
    record.guard = lender.text("my-guard")
    record.outcome = WARDEN_OUTCOME_FAILED
    record.completion = lender.completion(rows: 2, sqlstate: "42501", error: "refused")
    record.statement = lender.statement(WARDEN_CLASS_READ | WARDEN_CLASS_DELETE, "DELETE", [])
    ring.append(record)
    let row = try #require(collect([ring]).rows.first)
    let expected = [
      "event": "statement", "class": "delete", "command": "DELETE", "statement": "SELECT 1",
      "decision": "would_block", "guard": "my-guard", "outcome": "failed", "sqlstate": "42501", "error": "refused",
      "database": "shop", "session_user": "app", "role": "clerk", "identity": "alice@example.com", "agent": "",
      "application": "psql", "environment": "production", "ticket": "T-1",
    ]
    #expect(row.texts == expected)
    #expect(row.statementNo == 7 && row.session == 42 && row.rows == 2 && row.duration == 55)
  }

  @Test(arguments: [
    (WARDEN_CLASS_READ, "read"), (WARDEN_CLASS_READ | WARDEN_CLASS_INSERT, "insert"), (WARDEN_CLASS_SYSTEM, "system"),
    (WARDEN_CLASS_MERGE | WARDEN_CLASS_DELETE | WARDEN_CLASS_INSERT, "delete"), (WARDEN_CLASS_UPDATE_ALL, "update"),
    (WARDEN_CLASS_DROP_COLUMN | WARDEN_CLASS_ALTER, "alter"), (WARDEN_CLASS_CREATE | WARDEN_CLASS_READ, "create"),
    (WARDEN_CLASS_OTHER_DDL, "ddl"), (WARDEN_CLASS_COPY_PROGRAM | WARDEN_CLASS_COPY_OUT, "copy_program"),
    (WARDEN_CLASS_MISC, "misc"), (WARDEN_CLASS_TRANSACTION, "transaction"), (1 << 60, "misc"),
  ]) func theClassThatTellsMost(_ classes: WardenClasses, _ word: String) {
    #expect(Labels.statementClass(classes).map { "\($0)" } == word)
  }

  @Test func noClassWithoutAStatement() { #expect(Labels.statementClass(0) == nil) }

  @Test(arguments: [
    (10, "0123456789abc", "0123456789 ... [10 of 13 bytes]"),
    (13, "0123456789abc", "0123456789abc"),
    (0, "abc", " ... [0 of 3 bytes]"), (-5, "abc", " ... [0 of 3 bytes]"),
    (Int64.max, "abc", "abc"),
    (2, "aéb", "a ... [1 of 4 bytes]"), (3, "aéb", "aé ... [3 of 4 bytes]"),
    (3, "a€b", "a ... [1 of 5 bytes]"), (4, "a😀", "a ... [1 of 5 bytes]"), (5, "a😀", "a😀"),
  ]) func longTextsAreCut(_ limit: Int64, _ text: String, _ expected: String) {
    #expect(recorded(text, limit: limit) == expected)
  }

  private func cut(
    _ text: String, limit: Int64, hasSecret: Bool = false, digest: [UInt8], redacted: [Int32] = []
  ) -> String? {
    let ring = TestRing()
    var record = ring.lender.record(text, limit: limit)
    record.has_secret = hasSecret
    record.text_digest = ring.lender.text(digest)
    record.redacted = UnsafePointer(ring.lender.list(redacted))
    record.redacted_count = Int64(redacted.count)
    guard ring.append(record) >= 0 else { return nil }
    return collect([ring]).rows.first?["statement"]
  }

  @Test func whatIsCutHasADigest() {
    let digest = (0..<32).map { UInt8($0 * 8) }
    let hex = "0008101820283038404850586068707880889098a0a8b0b8c0c8d0d8e0e8f0f8"
    #expect(cut("0123456789", limit: 4, digest: digest) == "0123 ... [4 of 10 bytes, sha256 \(hex)]")
    #expect(cut("0123456789", limit: 10, digest: digest) == "0123456789")
    let none = "0123 ... [4 of 10 bytes]"
    for wrong in [[], [1], [UInt8](repeating: 1, count: 31), [UInt8](repeating: 1, count: 33)] {
      #expect(cut("0123456789", limit: 4, digest: wrong) == none)
    }
    #expect(cut("0123456789", limit: 4, hasSecret: true, digest: digest) == none)
    #expect(cut("0123456789", limit: 4, digest: digest, redacted: [8]) == none)
    #expect(cut("01234 PASSWORD 'x'", limit: 4, digest: digest) == "0123 ... [4 of 18 bytes]")
    #expect(cut("01234 passenger", limit: 4, digest: digest)?.contains("sha256") == true)
  }

  @Test(arguments: [
    ("0123456789 /*a='b'*/", 4, "0123 ... [4 of 20 bytes] /*a='b'*/"),
    ("0123456789 /* a='b',c='%2F' */ ; \n", 4, "0123 ... [4 of 34 bytes] /* a='b',c='%2F' */ ; \n"),
    // one that begins before the limit is not told twice
    ("0123456789 /*a='b'*/", 15, "0123456789  ... [11 of 20 bytes] /*a='b'*/"),
    ("0123456789 /*a='b'*/", 20, "0123456789 /*a='b'*/"),
    // others are text like any
    ("0123456789 /* ab */", 4, "0123 ... [4 of 19 bytes]"),
    ("0123456789 /*a='b'*/ x", 4, "0123 ... [4 of 22 bytes]"),
    ("0123456789 a='b'*/", 4, "0123 ... [4 of 18 bytes]"),
    ("0123456789 */ a='b'*/", 4, "0123 ... [4 of 21 bytes]"),
    ("/*/0123456789 a='*/", 2, "/* ... [2 of 19 bytes]"),
    ("0123456789 /*a='b',password='hunter2'*/", 4, "0123 ... [4 of 39 bytes]"),
  ]) func tagsAtTheEndAreKept(_ text: String, _ limit: Int64, _ expected: String) {
    #expect(recorded(text, limit: limit) == expected)
  }

  @Test func longCommentsAreNotKept() {
    let tags = "/*a='" + String(repeating: "x", count: 2040) + "'*/"
    #expect(recorded("0123456789 " + tags, limit: 4)?.hasSuffix("bytes] " + tags) == true)
    #expect(recorded("0123456789 /*" + tags.dropFirst(2).dropLast(2) + " */", limit: 4)?.hasSuffix("bytes]") == true)
  }

  /// What looks like a comment at the end may have a literal in it.
  @Test func noCommentWithWhatIsRedacted() {
    let text = "SELECT '/*', a = 'xyz' -- */"
    #expect(cut(text, limit: 4, digest: [], redacted: [17]) == "SELE ... [4 of 28 bytes]")
  }

  @Test func whatIsNotUTF8IsCutAtTheLimit() {
    let ring = TestRing()
    var record = ring.lender.record("", limit: 3)
    record.text = ring.lender.text([0x61, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80])
    ring.append(record)
    #expect(collect([ring]).rows[0]["statement"]?.hasSuffix(" ... [3 of 7 bytes]") == true)
  }

  @Test func nullIsNotEmpty() {
    let ring = TestRing()
    ring.append(ring.lender.record(nil))
    ring.append(ring.lender.record(""))
    let rows = collect([ring]).rows
    #expect(rows.map { $0["statement"] } == [nil, ""])
    #expect(rows.map { $0["guard"] } == [nil, nil])
    #expect(rows.map { $0["database"] } == [nil, nil])
    #expect(rows.map { $0.rows } == [-1, -1])
  }

  @Test func anErrorsTextIsCutAndCleaned() {
    let ring = TestRing()
    let long = ring.append(ring.lender.record())
    let secret = ring.append(ring.lender.record())
    _ = ring.complete(long, ring.lender.completion(sqlstate: "XX000", error: String(repeating: "é", count: 200)))
    _ = ring.complete(secret, ring.lender.completion(sqlstate: "08001", error: "no: 'password=hunter2'"))
    let rows = collect([ring]).rows
    #expect(rows[0]["error"] == String(repeating: "é", count: 74))
    #expect(rows[1]["error"] == "no: 'password=***'")
  }

  @Test(arguments: [-1, 0, 1, 22, 23, 24, 30, 60, 200, 4096, Int64.max]) func contextsAreCutFairly(_ capacity: Int64) {
    let lender = Lender()
    var session = WardenSession()
    session.database = lender.text("db")
    session.application = lender.text(String(repeating: "ä", count: 3000))
    session.intent = lender.text(String(repeating: "b", count: 3000))
    var buffer = lender.buffer(4096)
    buffer.capacity = capacity
    warden_context_encode(&session, &buffer)
    #expect(buffer.length <= 4096 && buffer.length <= max(capacity, 0))
    guard let context = SessionContext(encoded: ByteView(buffer.bytes, count: buffer.length)) else {
      #expect(capacity < 23)
      return
    }
    #expect(context.database.count == 2 || capacity < 60)
    #expect(context.application.count % 2 == 0)
    #expect(context.agent.isNull && !context.intent.isNull)
    if capacity >= 4096 { #expect(context.intent.count > 2000 && context.application.count > 2000) }
  }

  @Test func hostileLengths() {
    let ring = TestRing()
    let text = ring.lender.text("abc")
    for length in [Int64.min, -1, 0] {
      var record = ring.lender.record()
      record.text = WardenText(bytes: text.bytes, length: length)
      record.context = WardenText(bytes: text.bytes, length: length)
      record.guard = WardenText(bytes: nil, length: Int64.max)
      #expect(ring.append(record) >= 0)
    }
    let rows = collect([ring]).rows
    #expect(rows.map { $0["statement"] } == ["", "", ""])
    #expect(rows.map { $0["guard"] } == [nil, nil, nil])
  }

  @Test func aForeignContextIsLeftOut() {
    let ring = TestRing()
    for bytes: [UInt8] in [[], [9], [1], [1, 200, 200], [UInt8](repeating: 1, count: 5000)] {
      var record = ring.lender.record()
      record.context = ring.lender.text(bytes)
      #expect(ring.append(record) >= 0)
    }
    let rows = collect([ring]).rows
    #expect(rows.count == 5 && rows.allSatisfy { $0["database"] == nil })
  }

  @Test func tornRecordsAreNoRecords() {
    let ring = TestRing()
    ring.append(ring.lender.record("SELECT 1"))
    let length = Int(ring.ring.pointee.head)
    #expect(decode(ring.data) != nil)
    for shorter in [Int64.min, -1, 0, 1, 7, 8, 303, Int64(length) - 1] {
      var buffer = ring.lender.buffer(100)
      var row = WardenAuditRow()
      #expect(!warden_record_decode(ring.data, shorter, &buffer, &row))
    }
    // length, kind, seq, trailer
    for offset in [1, 2, 5, 17, length - 8, length - 1] {
      ring.data[offset] ^= 0x41
      var buffer = ring.lender.buffer(100)
      var row = WardenAuditRow()
      #expect(!warden_record_decode(ring.data, Int64(length), &buffer, &row), "\(offset)")
      ring.data[offset] ^= 0x41
    }
    #expect(decode(ring.data) != nil)
  }

  @Test(arguments: 1...200) func overwrittenRecordsNeverStopTheDecoder(_ seed: UInt64) {
    var random = SeededGenerator(state: seed)
    let ring = TestRing()
    var record = ring.lender.record("SELECT 1")
    record.statement = ring.lender.statement(WARDEN_CLASS_READ, "SELECT", [.init(read: [0, 1], masked: [2])])
    ring.append(record)
    let length = Int(ring.ring.pointee.head)
    for _ in 0..<Int.random(in: 1...20, using: &random) {
      ring.data[Int.random(in: 24..<length - 8, using: &random)] = UInt8.random(in: 0...255, using: &random)
    }
    _ = decode(ring.data, length: Int64(length), scratch: Int.random(in: 0...300, using: &random))
  }
}
