import Contract

/// The bytes of a row of the audit that are hashed. docs/audit-format.md says what they are, so that anyone can
/// compute the chain again: a change here is a change there, and a new version.
struct CanonicalRow {
  private static let version: UInt8 = 1
  private var writer: ByteWriter

  init(writer: ByteWriter) { self.writer = writer }

  /// nil where there is not enough room.
  @unsafe mutating func write(_ row: WardenAuditRow) -> Int? {
    writer.append(Self.version)
    append(number: unsafe row.seq)
    append(signed: unsafe row.at)
    unsafe append(row.event)
    append(number: unsafe row.session)
    append(number: unsafe row.statement_no)
    append(number: unsafe row.last_statement_no)
    append(number: unsafe row.parent_no)
    append(number: unsafe row.transaction)
    unsafe appendContext(row)
    unsafe append(row.statement_class)
    unsafe append(row.command)
    unsafe append(row.statement)
    append(number: unsafe row.statement_hash)
    unsafe append(row.decision)
    unsafe append(row.guard)
    append(number: unsafe UInt64(bitPattern: row.request_id))
    unsafe append(row.outcome)
    unsafe append(row.sqlstate)
    unsafe append(row.error)
    append(measure: unsafe row.rows)
    append(measure: unsafe row.bytes)
    append(measure: unsafe row.duration)
    unsafe append(row.access)
    return writer.overflowed ? nil : writer.count
  }

  /// From the ring the context counts, from the table the columns.
  @unsafe private mutating func appendContext(_ row: WardenAuditRow) {
    if let context = unsafe SessionContext(encoded: ByteView(row.context)) {
      for index in 0..<SessionContext.fieldCount { append(context.field(index)) }
      return
    }
    unsafe append(row.database)
    unsafe append(row.session_user)
    unsafe append(row.role)
    unsafe append(row.identity)
    unsafe append(row.agent)
    unsafe append(row.application)
    unsafe append(row.client_address)
    unsafe append(row.environment)
    unsafe append(row.intent)
    unsafe append(row.ticket)
    unsafe append(row.run)
  }

  @unsafe private mutating func append(_ text: WardenText) { unsafe append(ByteView(text)) }

  private mutating func append(_ field: ByteView) {
    guard !field.isNull else { return writer.append(0) }
    writer.append(1)
    guard let length = UInt32(exactly: field.count) else { return writer.fail() }
    writer.append(bigEndian: length)
    writer.append(field)
  }

  /// 0 is NULL.
  private mutating func append(number: UInt64) {
    guard number != 0 else { return writer.append(0) }
    append(present: number)
  }

  /// Below 0 is NULL.
  private mutating func append(measure: Int64) {
    guard measure >= 0 else { return writer.append(0) }
    append(present: UInt64(bitPattern: measure))
  }

  /// Never NULL; two's complement.
  private mutating func append(signed: Int64) { append(present: UInt64(bitPattern: signed)) }

  private mutating func append(present number: UInt64) {
    writer.append(1)
    writer.append(bigEndian: UInt32(8))
    writer.append(bigEndian: number)
  }
}
