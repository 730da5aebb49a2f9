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
  /// All of the text is kept, as it is.
  private let isPlain: Bool
  private let parameters: ParameterList
  private let accessRoom: Int
  private let textRoom: Int
  private let parameterRoom: Int
  /// As in RecordLayout.
  let flags: UInt16
  /// No more bytes than these will be written; a multiple of 8.
  let bound: Int

  let isAmendment: Bool

  /// - Parameter limit: the most bytes that a record may take in this ring; more than the parts other than text
  ///   can come to.
  @inline(__always)
  init(_ record: UnsafePointer<WardenRecord>, limit: UInt64, withContext: Bool = true) {
    unsafe self.record = record
    isAmendment = unsafe Self.tellsOfAnEnd(record.pointee.event)
    let context = unsafe ByteView(record.pointee.context)
    self.context = withContext && context.count <= RecordLayout.longestContext ? context : .null
    `guard` = unsafe Self.shortened(ByteView(record.pointee.guard), RecordLayout.longestGuard)
    let statement = unsafe record.pointee.statement
    command = unsafe Self.shortened(ByteView(statement?.pointee.command ?? WardenText()), RecordLayout.longestCommand)
    unsafe accesses = AccessesView(statement)
    accessRoom = AccessList.bound(accesses)

    text = unsafe ByteView(record.pointee.text)
    let parametersView = unsafe ParametersView(record)
    let mode = unsafe record.pointee.parameter_mode
    parameterRoom = ParameterList.bound(parametersView, mode)
    let parts =
      RecordLayout.smallest &+ self.context.count &+ `guard`.count &+ command.count &+ accessRoom &+ parameterRoom
    let free = Int(truncatingIfNeeded: min(limit, RecordText.most)) &- parts &- RecordText.markRoom &- 8
    let asked = unsafe max(record.pointee.text_limit, 0)
    let isLong = text.count > free || Int64(text.count) > asked
    let room = unsafe max(isLong ? free &- RecordText.commentRoom(text, Self.redacted(record)) : free, 0)
    let wanted = Int(truncatingIfNeeded: min(asked, Int64(room)))
    kept = text.count <= wanted ? text.count : UTF8Shape.cut(text, to: wanted)
    hasSecret = unsafe record.pointee.has_secret || Secrets.mayBe(in: text.prefix(kept))
    let redactedCount = unsafe record.pointee.redacted == nil ? 0 : record.pointee.redacted_count
    isPlain = kept == text.count && !hasSecret && redactedCount <= 0
    // Also by a word in what is cut off.
    let mayBeNamed = hasSecret || (kept < text.count && Secrets.mayBe(in: text))
    let isNamed = mayBeNamed && Secrets.areNamed(in: text)
    let isSecret = unsafe record.pointee.has_secret || isNamed
    parameters = ParameterList(parametersView, mode: mode, hidesAll: isSecret)
    let withholds = redactedCount > 0 || (parametersView.count > 0 && parameters.withholdsSome())
    let told = unsafe isAmendment ? UInt16(truncatingIfNeeded: record.pointee.withheld) & RecordLayout.leavesOut : 0
    flags =
      (hasSecret ? RecordLayout.secretFlag : 0) | (isSecret ? RecordLayout.namedFlag : 0)
      | (withholds ? RecordLayout.withheldFlag : 0)
      | (parameterRoom > 0 ? RecordLayout.parametersFlag : 0) | told
    textRoom = isPlain ? kept : unsafe Self.recordText(record, text, kept, hasSecret).room(limit: room)
    bound = (parts &+ textRoom &+ 7) & ~7
  }

  @unsafe private static func recordText(
    _ record: UnsafePointer<WardenRecord>, _ text: ByteView, _ kept: Int, _ hasSecret: Bool
  ) -> RecordText {
    unsafe RecordText(
      text, kept: kept, hasSecret: hasSecret, everyLiteral: record.pointee.has_secret,
      redacted: redacted(record), digest: ByteView(record.pointee.text_digest))
  }

  private static func redacted(_ record: UnsafePointer<WardenRecord>) -> Lent<Int32> {
    unsafe Lent(record.pointee.redacted, count: record.pointee.redacted_count)
  }

  /// What is over can be neither refused nor held up.
  @inline(__always)
  private static func tellsOfAnEnd(_ event: WardenEvent) -> Bool {
    event == WARDEN_EVENT_TRANSACTION || event == WARDEN_EVENT_DISCONNECT
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
    unsafe writeText(into: &writer)
    writer.store(
      text.isNull ? RecordLayout.null32 : UInt32(truncatingIfNeeded: writer.count &- textStart),
      at: RecordLayout.textLength)
    if parameterRoom > 0 { writeParameters(into: &writer) }
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
    unsafe writer.put(flags, at: RecordLayout.flags)
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
    // What a refusal says is pg_warden's own wording, of objects and guards only.
    let told = outcome == WARDEN_OUTCOME_BLOCKED ? flags & ~RecordLayout.withheldFlag : flags
    unsafe RecordCompletion.write(completion, flags: told, into: writer)
  }

  /// The list gets the room that was measured for it and no more.
  @inline(__always)
  private func writeAccesses(into writer: inout ByteWriter) {
    guard accesses.count > 0 else { return }
    var list = writer.part(accessRoom)
    AccessList.encode(accesses, into: &list)
    writer.skip(list.count)
  }

  @unsafe @inline(__always)
  private func writeText(into writer: inout ByteWriter) {
    if isPlain { return writer.append(text) }
    unsafe Self.recordText(record, text, kept, hasSecret).write(room: textRoom, into: &writer)
  }

  /// The length, then the list.
  private func writeParameters(into writer: inout ByteWriter) {
    let start = writer.count
    writer.skip(4)
    var list = writer.part(parameterRoom &- 4)
    parameters.write(into: &list)
    writer.store(UInt32(truncatingIfNeeded: list.count), at: start)
    writer.skip(list.count)
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

/// What is known at the end of a statement, in the fixed part of its record.
enum RecordCompletion {
  /// - Parameter flags: those of the record.
  @unsafe static func write(_ completion: WardenCompletion, flags: UInt16, into memory: ByteWriter) {
    var writer = memory
    unsafe writer.store(completion.rows, at: RecordLayout.rows)
    unsafe writer.store(completion.bytes, at: RecordLayout.bytes)
    unsafe writer.store(completion.duration, at: RecordLayout.duration)
    unsafe writer.store(unsafeBitCast(completion.sqlstate, to: UInt64.self), at: RecordLayout.sqlstate)
    let error = unsafe ByteView(completion.error)
    guard !error.isNull else { return writer.store(RecordLayout.null32, at: RecordLayout.errorLength) }
    writer.rewind(to: 0)
    writer.skip(RecordLayout.error)
    var part = writer.part(RecordLayout.errorCapacity)
    let mayRepeat = unsafe flags & RecordLayout.namedFlag != 0 || completion.masked_read
    let withholds = unsafe flags & RecordLayout.withheldFlag != 0 || (mayRepeat && repeatsValues(completion))
    // Class P0: raised by a function.
    let isOwnWording = unsafe completion.sqlstate.0 == 0x50 && completion.sqlstate.1 == 0x30
    ErrorText(
      hasSecret: flags & RecordLayout.secretFlag != 0, withholds: withholds, isOwnWording: isOwnWording
    ).write(error, into: &part)
    writer.store(UInt32(truncatingIfNeeded: part.count), at: RecordLayout.errorLength)
  }

  /// Messages of syntax errors and of classes 22, 23 and P0 have literals and values in them, others mere names:
  /// `syntax error at or near "'secret'"`, but `role "ann" does not exist`.
  @unsafe private static func repeatsValues(_ completion: WardenCompletion) -> Bool {
    let state = unsafe completion.sqlstate
    if state.0 == 0x32 { return state.1 == 0x32 || state.1 == 0x33 }
    if state.0 == 0x50 { return state.1 == 0x30 }
    return state.0 == 0x34 && state.1 == 0x32 && state.2 == 0x36 && state.3 == 0x30 && state.4 == 0x31
  }
}
