import Contract
import Testing

@testable import Interceptor

/// The bytes that are hashed are those of docs/audit-format.md, from the ring and from the table alike.
@Suite struct CanonicalRowTests {
  private let lender = Lender()

  private func canonical(_ row: WardenAuditRow, capacity: Int = 4096) -> [UInt8]? {
    var buffer = lender.buffer(capacity)
    guard withUnsafePointer(to: row, { warden_row_canonical($0, &buffer) }) else { return nil }
    return Array(UnsafeBufferPointer(start: buffer.bytes, count: Int(buffer.length)))
  }

  private func emptyRow() -> WardenAuditRow {
    var row = WardenAuditRow()
    row.rows = -1
    row.bytes = -1
    row.duration = -1
    return row
  }

  @Test func anEmptyRowIsVersionAndTimeAndNulls() {
    // 33 fields, of which only `at` is never NULL.
    let time: [UInt8] = [1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]
    #expect(canonical(emptyRow()) == [1, 0] + time + [UInt8](repeating: 0, count: 31))
  }

  @Test func aRowByteByByte() {
    var row = emptyRow()
    row.seq = 258
    row.at = -1
    row.event = lender.text("gap")
    row.rows = 0
    row.access = lender.text("")
    var expected: [UInt8] = [1]
    expected += [1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2]
    expected += [1, 0, 0, 0, 8] + [UInt8](repeating: 0xFF, count: 8)
    expected += [1, 0, 0, 0, 3] + Array("gap".utf8)
    expected += [UInt8](repeating: 0, count: 26)
    expected += [1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]
    expected += [0, 0]
    expected += [1, 0, 0, 0, 0]
    #expect(canonical(row) == expected)
  }

  @Test func fieldsDoNotRunIntoEachOther() {
    var first = emptyRow()
    first.role = lender.text("ab")
    first.identity = lender.text("")
    var second = emptyRow()
    second.role = lender.text("a")
    second.identity = lender.text("b")
    var third = first
    third.identity = lender.text(nil)
    #expect(Set([first, second, third].compactMap { canonical($0) }).count == 3)
  }

  @Test func contextAndColumnsGiveTheSame() {
    var session = WardenSession()
    session.database = lender.text("d")
    session.role = lender.text("r")
    session.run = lender.text("")
    var context = lender.buffer(4096)
    warden_context_encode(&session, &context)
    var ring = emptyRow()
    ring.context = WardenText(bytes: context.bytes, length: context.length)
    var table = emptyRow()
    table.database = lender.text("d")
    table.role = lender.text("r")
    table.run = lender.text("")
    #expect(canonical(ring) == canonical(table))
  }

  @Test func whatDoesNotFitIsRefused() throws {
    var row = emptyRow()
    row.statement = lender.text("SELECT 1")
    let whole = try #require(canonical(row))
    #expect(canonical(row, capacity: whole.count) == whole)
    for capacity in 0..<whole.count { #expect(canonical(row, capacity: capacity) == nil) }
    var buffer = lender.buffer(8)
    buffer.capacity = -1
    #expect(!withUnsafePointer(to: row) { warden_row_canonical($0, &buffer) })
  }

  @Test func the512BytesAreEnough() throws {
    var row = emptyRow()
    let number = UInt64.max
    (row.seq, row.session, row.statement_no, row.last_statement_no) = (number, number, number, number)
    (row.parent_no, row.transaction, row.statement_hash) = (number, number, number)
    (row.request_id, row.rows, row.bytes, row.duration) = (-1, .max, .max, .max)
    let empty = lender.text("")
    (row.event, row.statement_class, row.command, row.statement) = (empty, empty, empty, empty)
    (row.decision, row.guard, row.outcome, row.sqlstate, row.error) = (empty, empty, empty, empty, empty)
    (row.access, row.database, row.session_user, row.role, row.identity) = (empty, empty, empty, empty, empty)
    (row.agent, row.application, row.client_address, row.environment) = (empty, empty, empty, empty)
    (row.intent, row.ticket, row.run) = (empty, empty, empty)
    #expect(try #require(canonical(row)).count <= 512)
  }

  @Test func hostileLengthsAreEmpty() {
    var row = emptyRow()
    row.statement = WardenText(bytes: lender.text("abc").bytes, length: -3)
    var same = emptyRow()
    same.statement = lender.text("")
    #expect(canonical(row) == canonical(same))
  }
}
