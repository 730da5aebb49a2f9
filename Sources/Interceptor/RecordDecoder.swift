import Contract

/// Reads a record of the ring: into a row of the audit table.
struct RecordDecoder {
  private let record: ByteView
  private let state: UInt32

  /// nil where it is torn, or no record.
  init?(_ bytes: ByteView) {
    let length = Int(bytes.load(at: RecordLayout.length, as: UInt32.self))
    guard length & 7 == 0, length >= RecordLayout.smallest, length <= bytes.count else { return nil }
    record = bytes.prefix(length)
    guard record.load(at: RecordLayout.kind, as: UInt32.self) == RecordLayout.recordKind else { return nil }
    let seq = record.load(at: RecordLayout.seq, as: UInt64.self)
    guard record.load(at: length &- RecordLayout.trailerSize, as: UInt64.self) == seq else { return nil }
    state = record.load(at: RecordLayout.state, as: UInt32.self)
  }

  /// nil where the lengths of the parts contradict the length of the whole.
  @unsafe func row(scratch: ByteWriter) -> (row: WardenAuditRow, scratch: Int)? {
    guard let parts = RecordParts(record) else { return nil }
    var row = unsafe WardenAuditRow()
    unsafe readNumbers(into: &row)
    unsafe readCompletion(into: &row)
    let classes = record.load(at: RecordLayout.classes, as: WardenClasses.self)
    let event = UInt32(record[RecordLayout.event])
    unsafe row.event = Labels.eventLetter(event)
    unsafe row.statement_class = (Labels.statementClass(classes).map { ByteView($0) } ?? .null).text
    unsafe row.decision = ByteView(Labels.decision(UInt32(record[RecordLayout.decision]))).text
    unsafe row.command = parts.command.text
    unsafe row.guard = parts.guard.text
    unsafe row.statement = parts.text.text
    unsafe row.parameters = parts.parameters.text
    unsafe row.outcome = Labels.outcomeLetter(RecordState.outcome(of: state))
    var json = AccessJSON(writer: scratch)
    let access = parts.accesses.isNull ? .null : json.write(parts.accesses)
    unsafe row.access = access.text
    unsafe row.access_list = parts.accesses.text
    unsafe row.context = parts.context.text
    return unsafe (row, access.count)
  }

  @unsafe private func readNumbers(into row: inout WardenAuditRow) {
    unsafe row.seq = record.load(at: RecordLayout.seq, as: UInt64.self)
    unsafe row.at = record.load(at: RecordLayout.at, as: Int64.self)
    unsafe row.session = record.load(at: RecordLayout.session, as: UInt64.self)
    unsafe row.statement_no = record.load(at: RecordLayout.statementNo, as: UInt64.self)
    unsafe row.last_statement_no = record.load(at: RecordLayout.lastStatementNo, as: UInt64.self)
    unsafe row.parent_no = record.load(at: RecordLayout.parentNo, as: UInt64.self)
    unsafe row.transaction = record.load(at: RecordLayout.transaction, as: UInt64.self)
    unsafe row.statement_hash = record.load(at: RecordLayout.statementHash, as: UInt64.self)
    unsafe row.request_id = record.load(at: RecordLayout.requestID, as: Int64.self)
  }

  /// The producer may be writing it at this moment, unless the state says that it is there.
  @unsafe private func readCompletion(into row: inout WardenAuditRow) {
    let isThere = state & RecordState.completed != 0
    unsafe row.rows = isThere ? record.load(at: RecordLayout.rows, as: Int64.self) : -1
    unsafe row.bytes = isThere ? record.load(at: RecordLayout.bytes, as: Int64.self) : -1
    unsafe row.duration = isThere ? record.load(at: RecordLayout.duration, as: Int64.self) : -1
    guard isThere else { return }
    var length = 0
    while length < 5, record[RecordLayout.sqlstate &+ length] != 0 { length &+= 1 }
    if length > 0 {
      unsafe row.sqlstate = record.slice(RecordLayout.sqlstate, RecordLayout.sqlstate &+ length).text
    }
    let errorLength = record.load(at: RecordLayout.errorLength, as: UInt32.self)
    guard errorLength != RecordLayout.null32 else { return }
    let errorEnd = RecordLayout.error &+ min(Int(errorLength), RecordLayout.errorCapacity)
    unsafe row.error = record.slice(RecordLayout.error, errorEnd).text
  }
}

/// The parts of a record that have no fixed length.
private struct RecordParts {
  let context: ByteView
  let `guard`: ByteView
  let command: ByteView
  let accesses: ByteView
  let text: ByteView
  let parameters: ByteView

  init?(_ record: ByteView) {
    var reader = ByteReader(record.slice(RecordLayout.variable, record.count &- RecordLayout.trailerSize))
    context = Self.part(record.load(at: RecordLayout.contextLength, as: UInt16.self), &reader)
    `guard` = Self.part(record.load(at: RecordLayout.guardLength, as: UInt16.self), &reader)
    command = Self.part(record.load(at: RecordLayout.commandLength, as: UInt16.self), &reader)
    accesses = Self.part(record.load(at: RecordLayout.accessLength, as: UInt16.self), &reader)
    text = Self.part(record.load(at: RecordLayout.textLength, as: UInt32.self), &reader)
    let hasParameters = record.load(at: RecordLayout.flags, as: UInt16.self) & RecordLayout.parametersFlag != 0
    parameters = hasParameters ? reader.view(Int(reader.number(UInt32.self))) : .null
    if reader.failed { return nil }
  }

  /// All ones, in the length's own width, is NULL.
  private static func part<Length: FixedWidthInteger>(_ length: Length, _ reader: inout ByteReader) -> ByteView {
    length == Length.max ? .null : reader.view(Int(truncatingIfNeeded: length))
  }
}
