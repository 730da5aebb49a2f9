import Contract

/// Turns a record of C's into the bytes of a ring. First it measures, then it writes: between taking a number and
/// publishing the record nothing may fail.
@safe struct RecordEncoder {
  private let record: UnsafePointer<WardenRecord>
  private let context: ByteView
  private let `guard`: ByteView
  private let command: ByteView
  private let accesses: AccessesView
  private let text: ByteView
  private let hasSecret: Bool
  /// How much of `text` is looked at.
  private let kept: Int
  private let accessRoom: Int
  private let textRoom: Int
  /// No more bytes than these will be written; a multiple of 8.
  let bound: Int

  let isAmendment: Bool

  /// - Parameter limit: the most bytes that a record may take in this ring; more than the parts other than text
  ///   can come to.
  @inline(__always)
  init(_ record: UnsafePointer<WardenRecord>, limit: UInt64, withContext: Bool = true) {
    unsafe self.record = record
    isAmendment = unsafe record.pointee.event == WARDEN_EVENT_TRANSACTION
    let context = unsafe ByteView(record.pointee.context)
    self.context = withContext && context.count <= RecordLayout.longestContext ? context : .null
    `guard` = unsafe Self.shortened(ByteView(record.pointee.guard), RecordLayout.longestGuard)
    let statement = unsafe record.pointee.statement
    command = unsafe Self.shortened(ByteView(statement?.pointee.command ?? WardenText()), RecordLayout.longestCommand)
    unsafe accesses = AccessesView(statement)
    accessRoom = AccessList.bound(accesses)

    text = unsafe ByteView(record.pointee.text)
    let parts = RecordLayout.smallest &+ self.context.count &+ `guard`.count &+ command.count &+ accessRoom
    let room = max(Int(truncatingIfNeeded: min(limit, RecordText.most)) &- parts &- RecordText.markerRoom &- 8, 0)
    let wanted = unsafe Int(truncatingIfNeeded: min(max(record.pointee.text_limit, 0), Int64(room)))
    kept = text.count <= wanted ? text.count : UTF8Shape.cut(text, to: wanted)
    hasSecret = unsafe record.pointee.has_secret || Secrets.mayBe(in: text.prefix(kept))
    textRoom = RecordText.room(kept: kept, of: text.count, hasSecret: hasSecret, limit: room)
    bound = (parts &+ textRoom &+ 7) & ~7
  }

  /// Writes the record and returns its length.
  @inline(__always)
  func write(into memory: ByteWriter, position: UInt64, seq: UInt64) -> Int {
    var writer = memory
    writer.skip(RecordLayout.variable)
    guard !writer.overflowed else { return 0 }
    unsafe writeFixedPart(into: writer, position: position, seq: seq)
    writer.append(context)
    writer.append(`guard`)
    writer.append(command)
    let accessStart = writer.count
    writeAccesses(into: &writer)
    writer.store(
      accesses.count > 0 ? UInt16(truncatingIfNeeded: writer.count &- accessStart) : RecordLayout.null16,
      at: RecordLayout.accessLength)
    let textStart = writer.count
    writeText(into: &writer)
    writer.store(
      text.isNull ? RecordLayout.null32 : UInt32(truncatingIfNeeded: writer.count &- textStart),
      at: RecordLayout.textLength)
    writer.skip((8 &- writer.count & 7) & 7)
    writer.append(native: seq)
    writer.store(UInt32(truncatingIfNeeded: writer.count), at: RecordLayout.length)
    return writer.count
  }

  @unsafe @inline(__always)
  private func writeFixedPart(into writer: ByteWriter, position: UInt64, seq: UInt64) {
    unsafe writer.put(RecordLayout.recordKind, at: RecordLayout.kind)
    unsafe writer.put(position, at: RecordLayout.position)
    unsafe writer.put(seq, at: RecordLayout.seq)
    unsafe writer.put(record.pointee.subtransaction, at: RecordLayout.subtransaction)
    unsafe writer.put(record.pointee.at, at: RecordLayout.at)
    unsafe writer.put(record.pointee.session, at: RecordLayout.session)
    unsafe writer.put(record.pointee.statement_no, at: RecordLayout.statementNo)
    unsafe writer.put(record.pointee.last_statement_no, at: RecordLayout.lastStatementNo)
    unsafe writer.put(record.pointee.parent_no, at: RecordLayout.parentNo)
    unsafe writer.put(record.pointee.transaction, at: RecordLayout.transaction)
    unsafe writer.put(record.pointee.statement_hash, at: RecordLayout.statementHash)
    unsafe writer.put(record.pointee.request_id, at: RecordLayout.requestID)
    unsafe writer.put(record.pointee.statement?.pointee.classes ?? 0, at: RecordLayout.classes)
    unsafe writer.put(UInt8(truncatingIfNeeded: record.pointee.event.rawValue), at: RecordLayout.event)
    unsafe writer.put(UInt8(truncatingIfNeeded: record.pointee.decision.rawValue), at: RecordLayout.decision)
    unsafe writer.put(hasSecret ? RecordLayout.secretFlag : UInt16(0), at: RecordLayout.flags)
    unsafe writer.put(Self.length(context), at: RecordLayout.contextLength)
    unsafe writer.put(Self.length(`guard`), at: RecordLayout.guardLength)
    unsafe writer.put(Self.length(command), at: RecordLayout.commandLength)
    unsafe writeState(into: writer)
  }

  /// OPEN, or FINAL with what there is to say. An amendment of a statement's end leaves the outcome open and has its
  /// numbers all the same.
  @unsafe @inline(__always)
  private func writeState(into writer: ByteWriter) {
    let outcome = unsafe record.pointee.outcome
    guard isAmendment || outcome != WARDEN_OUTCOME_OPEN else {
      return unsafe writer.put(UInt32(0), at: RecordLayout.state)
    }
    writer.store(RecordState.final(outcome.rawValue, RecordState.completed), at: RecordLayout.state)
    let completion = unsafe record.pointee.completion
    unsafe RecordCompletion.write(completion, hasSecret: hasSecret, into: writer)
  }

  /// The list gets the room that was measured for it and no more.
  @inline(__always)
  private func writeAccesses(into writer: inout ByteWriter) {
    guard accesses.count > 0 else { return }
    var list = writer.part(accessRoom)
    AccessList.encode(accesses, into: &list)
    writer.skip(list.count)
  }

  @inline(__always)
  private func writeText(into writer: inout ByteWriter) {
    if !hasSecret, kept == text.count { return writer.append(text) }
    RecordText.write(
      text, kept: kept, hasSecret: hasSecret, everyLiteral: unsafe record.pointee.has_secret,
      room: textRoom, into: &writer)
  }

  @inline(__always)
  private static func shortened(_ view: ByteView, _ limit: Int) -> ByteView {
    view.count <= limit ? view : view.prefix(UTF8Shape.cut(view, to: limit))
  }

  @inline(__always)
  private static func length(_ view: ByteView) -> UInt16 {
    view.isNull ? RecordLayout.null16 : UInt16(truncatingIfNeeded: view.count)
  }
}

/// The text of a statement: without secrets, and not longer than the limit. What was cut off is told at its end:
/// ` ... [16384 of 123456 bytes]`. In ASCII, because the database's encoding may be any.
enum RecordText {
  /// The most bytes of a record, whatever the ring has room for.
  static let most: UInt64 = 1 << 28
  /// ` ... [` + 19 digits + ` of ` + 19 digits + ` bytes]`
  static let markerRoom = 64

  /// Three stars in place of an empty literal make a text longer: `''` becomes `'***'`.
  @inline(__always)
  static func room(kept: Int, of count: Int, hasSecret: Bool, limit: Int) -> Int {
    let body = hasSecret ? max(min(3 &* kept &+ 16, limit), kept) : kept
    return kept < count || hasSecret ? body &+ markerRoom : body
  }

  static func write(
    _ text: ByteView, kept: Int, hasSecret: Bool, everyLiteral: Bool, room: Int, into writer: inout ByteWriter
  ) {
    let prefix = text.prefix(kept)
    var isCut = kept < text.count
    if hasSecret {
      var body = writer.part(room &- markerRoom)
      Secrets.remove(from: prefix, everyLiteral: everyLiteral, into: &body)
      isCut = isCut || body.overflowed
      writer.skip(body.count)
    } else {
      writer.append(prefix)
    }
    guard isCut else { return }
    writer.append(" ... [")
    writer.append(decimal: UInt64(truncatingIfNeeded: kept))
    writer.append(" of ")
    writer.append(decimal: UInt64(truncatingIfNeeded: text.count))
    writer.append(" bytes]")
  }
}

/// What is known at the end of a statement, in the fixed part of its record.
enum RecordCompletion {
  @unsafe static func write(_ completion: WardenCompletion, hasSecret: Bool, into memory: ByteWriter) {
    var writer = memory
    unsafe writer.store(completion.rows, at: RecordLayout.rows)
    unsafe writer.store(completion.bytes, at: RecordLayout.bytes)
    unsafe writer.store(completion.duration, at: RecordLayout.duration)
    unsafe writer.store(unsafeBitCast(completion.sqlstate, to: UInt64.self), at: RecordLayout.sqlstate)
    let error = unsafe ByteView(completion.error)
    guard !error.isNull else { return writer.store(RecordLayout.null32, at: RecordLayout.errorLength) }
    writer.rewind(to: 0)
    writer.skip(RecordLayout.error)
    let kept = error.prefix(UTF8Shape.cut(error, to: RecordLayout.errorCapacity))
    var part = writer.part(RecordLayout.errorCapacity)
    if hasSecret || Secrets.mayBe(in: kept) {
      Secrets.remove(from: kept, everyLiteral: hasSecret, into: &part)
    } else {
      part.append(kept)
    }
    writer.store(UInt32(truncatingIfNeeded: part.count), at: RecordLayout.errorLength)
  }
}
