import Contract

/// The bytes of the audit's rows that are hashed. docs/audit-format.md says what they are, so that anyone can compute
/// the chain again: a change here is a change there, and a new version.
///
/// A record's bytes have the digests of its context and its shape in them instead of their texts: all three tables are
/// covered, and a short statement costs three blocks of SHA-256.
struct CanonicalRow {
  private static let version: UInt8 = 2
  private static let digestLength = 32
  private var writer: ByteWriter

  init(writer: ByteWriter) { self.writer = writer }

  // Each returns how many bytes there are, nil where there is not enough room.

  @unsafe mutating func write(_ row: WardenAuditRow) -> Int? {
    begin(0x72)
    writer.append(bigEndian: unsafe row.seq)
    writer.append(bigEndian: unsafe row.at)
    writer.append(bigEndian: unsafe row.session)
    writer.append(bigEndian: unsafe row.statement_no)
    writer.append(bigEndian: UInt64(UInt32(truncatingIfNeeded: unsafe row.transaction)))
    append(measure: unsafe row.rows)
    append(measure: unsafe row.bytes)
    append(measure: unsafe row.duration)
    writer.append(unsafe row.event)
    writer.append(unsafe row.outcome)
    unsafe append(digest: ByteView(row.context_digest))
    unsafe append(digest: ByteView(row.shape_digest))
    append(optional: unsafe row.parent_no)
    append(optional: unsafe row.last_statement_no)
    append(optional: unsafe UInt64(bitPattern: row.request_id))
    append(optional: unsafe row.statement_hash)
    unsafe append(row.sqlstate)
    unsafe append(row.error)
    unsafe append(row.statement)
    unsafe append(row.access)
    unsafe append(row.parameters)
    return end()
  }

  @unsafe mutating func write(_ context: WardenAuditContext) -> Int? {
    begin(0x63)
    unsafe append(context.database)
    unsafe append(context.session_user)
    unsafe append(context.role)
    unsafe append(context.identity)
    unsafe append(context.agent)
    unsafe append(context.application)
    unsafe append(context.client_address)
    unsafe append(context.environment)
    unsafe append(context.intent)
    unsafe append(context.ticket)
    unsafe append(context.run)
    return end()
  }

  @unsafe mutating func write(_ shape: WardenAuditShape) -> Int? {
    begin(0x73)
    unsafe append(shape.statement_class)
    unsafe append(shape.command)
    unsafe append(shape.decision)
    unsafe append(shape.guard)
    append(optional: unsafe shape.statement_hash)
    unsafe append(shape.access)
    unsafe append(shape.statement)
    return end()
  }

  /// The second byte tells the three apart.
  private mutating func begin(_ kind: UInt8) {
    writer.append(Self.version)
    writer.append(kind)
  }

  private func end() -> Int? { writer.overflowed ? nil : writer.count }

  @unsafe private mutating func append(_ text: WardenText) {
    let field = unsafe ByteView(text)
    guard !field.isNull else { return writer.append(0) }
    guard let length = UInt32(exactly: field.count) else { return writer.fail() }
    writer.append(1)
    writer.append(bigEndian: length)
    writer.append(field)
  }

  /// 0 is NULL.
  private mutating func append(optional number: UInt64) {
    guard number != 0 else { return writer.append(0) }
    writer.append(1)
    writer.append(bigEndian: number)
  }

  /// Below 0 is NULL, and -1.
  private mutating func append(measure: Int64) { writer.append(bigEndian: max(measure, -1)) }

  /// NULL, or what is no digest, is zeros.
  private mutating func append(digest: ByteView) {
    guard digest.count == Self.digestLength else {
      for _ in 0..<4 { writer.append(bigEndian: UInt64(0)) }
      return
    }
    writer.append(digest)
  }
}
