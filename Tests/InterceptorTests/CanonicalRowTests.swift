import Contract
import Testing

@testable import Interceptor

/// The bytes that are hashed are those of docs/audit-format.md.
@Suite struct CanonicalRowTests {
  private let lender = Lender()

  private func written(_ capacity: Int, _ write: (inout WardenBuffer) -> Bool) -> [UInt8]? {
    var buffer = lender.buffer(capacity)
    guard write(&buffer) else { return nil }
    return Array(UnsafeBufferPointer(start: buffer.bytes, count: Int(buffer.length)))
  }

  private func canonical(_ row: WardenAuditRow, capacity: Int = 4096) -> [UInt8]? {
    written(capacity) { buffer in withUnsafePointer(to: row) { warden_row_canonical($0, &buffer) } }
  }

  private func canonical(_ context: WardenAuditContext, capacity: Int = 4096) -> [UInt8]? {
    written(capacity) { buffer in withUnsafePointer(to: context) { warden_context_canonical($0, &buffer) } }
  }

  private func canonical(_ shape: WardenAuditShape, capacity: Int = 4096) -> [UInt8]? {
    written(capacity) { buffer in withUnsafePointer(to: shape) { warden_shape_canonical($0, &buffer) } }
  }

  private func emptyRow() -> WardenAuditRow {
    var row = WardenAuditRow()
    row.rows = -1
    row.bytes = -1
    row.duration = -1
    return row
  }

  private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
  private func ones(_ count: Int) -> [UInt8] { [UInt8](repeating: 0xFF, count: count) }

  @Test func emptyOnesAreNulls() {
    #expect(canonical(emptyRow()) == [2, 0x72] + zeros(40) + ones(24) + zeros(2 + 64 + 4 + 5))
    #expect(canonical(WardenAuditContext()) == [2, 0x63] + zeros(11))
    #expect(canonical(WardenAuditShape()) == [2, 0x73] + zeros(7))
  }

  @Test func aRowByteByByte() {
    var row = emptyRow()
    row.seq = 258
    row.at = -1
    row.transaction = 0x1_0000_0005
    row.rows = 0
    row.event = 0x67
    row.shape_digest = lender.text("0123456789abcdef0123456789abcdef")
    row.parent_no = 7
    row.error = lender.text("")
    row.parameters = lender.text("{}")
    var expected: [UInt8] = [2, 0x72]
    expected += [0, 0, 0, 0, 0, 0, 1, 2] + ones(8) + zeros(16)
    // Of the transaction's number 32 bits are kept.
    expected += [0, 0, 0, 0, 0, 0, 0, 5]
    expected += zeros(8) + ones(16)
    expected += [0x67, 0] + zeros(32) + Array("0123456789abcdef0123456789abcdef".utf8)
    expected += [1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0]
    expected += [0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2] + Array("{}".utf8)
    #expect(canonical(row) == expected)
  }

  @Test func aShapeByteByByte() {
    var shape = WardenAuditShape()
    shape.statement_class = lender.text("read")
    shape.statement_hash = 9
    shape.statement = lender.text("x")
    var expected: [UInt8] = [2, 0x73, 1, 0, 0, 0, 4] + Array("read".utf8)
    expected += [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 0, 0, 1, 0x78]
    #expect(canonical(shape) == expected)
  }

  @Test func aDigestOfAnotherLengthIsNone() {
    var row = emptyRow()
    row.context_digest = lender.text("short")
    #expect(canonical(row) == canonical(emptyRow()))
  }

  @Test func fieldsDoNotRunIntoEachOther() {
    var first = WardenAuditContext()
    first.role = lender.text("ab")
    first.identity = lender.text("")
    var second = WardenAuditContext()
    second.role = lender.text("a")
    second.identity = lender.text("b")
    var third = first
    third.identity = lender.text(nil)
    #expect(Set([first, second, third].compactMap { canonical($0) }).count == 3)
  }

  @Test func whatASessionSaysIsDecoded() {
    var session = WardenSession()
    session.database = lender.text("d")
    session.role = lender.text("r")
    session.run = lender.text("")
    var encoded = lender.buffer(4096)
    warden_context_encode(&session, &encoded)
    var decoded = WardenAuditContext()
    #expect(warden_context_decode(WardenText(bytes: encoded.bytes, length: encoded.length), &decoded))
    var told = WardenAuditContext()
    told.database = lender.text("d")
    told.role = lender.text("r")
    told.run = lender.text("")
    #expect(canonical(decoded) == canonical(told))
    for length in 0..<encoded.length {
      #expect(!warden_context_decode(WardenText(bytes: encoded.bytes, length: length), &decoded))
      #expect(canonical(decoded) == canonical(WardenAuditContext()))
    }
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

  @Test func the256BytesAreEnough() throws {
    let digest = lender.text("0123456789abcdef0123456789abcdef")
    let empty = lender.text("")
    var row = emptyRow()
    let number = UInt64.max
    (row.seq, row.session, row.statement_no, row.last_statement_no) = (number, number, number, number)
    (row.parent_no, row.transaction, row.statement_hash) = (number, number, number)
    (row.request_id, row.rows, row.bytes, row.duration) = (-1, .max, .max, .max)
    (row.context_digest, row.shape_digest) = (digest, digest)
    (row.sqlstate, row.error, row.statement, row.access, row.parameters) = (empty, empty, empty, empty, empty)
    #expect(try #require(canonical(row)).count <= 256)
  }

  @Test func hostileLengthsAreEmpty() {
    var row = emptyRow()
    row.statement = WardenText(bytes: lender.text("abc").bytes, length: -3)
    var same = emptyRow()
    same.statement = lender.text("")
    #expect(canonical(row) == canonical(same))
  }
}
