import Contract

/// What the audit says of a session: who, from where, what for. Encoded once per change of it; every record carries
/// a copy.
///
/// One byte of version, then for each field its length as u16 (all ones = NULL) and its bytes.
struct SessionContext {
  var database: ByteView
  var sessionUser: ByteView
  var role: ByteView
  var identity: ByteView
  var agent: ByteView
  var application: ByteView
  var clientAddress: ByteView
  var environment: ByteView
  var intent: ByteView
  var ticket: ByteView
  var run: ByteView

  private static let version: UInt8 = 1
  static let fieldCount = 11
  private static let smallest = 1 + fieldCount * 2

  init(_ session: WardenSession) {
    unsafe database = ByteView(session.database)
    unsafe sessionUser = ByteView(session.session_user)
    unsafe role = ByteView(session.role)
    unsafe identity = ByteView(session.identity)
    unsafe agent = ByteView(session.agent)
    unsafe application = ByteView(session.application)
    unsafe clientAddress = ByteView(session.client_address)
    unsafe environment = ByteView(session.environment)
    unsafe intent = ByteView(session.intent)
    unsafe ticket = ByteView(session.ticket)
    unsafe run = ByteView(session.run)
  }

  /// nil where `encoded` is no context.
  init?(encoded: ByteView) {
    var reader = ByteReader(encoded)
    guard reader.number(UInt8.self) == Self.version else { return nil }
    database = Self.field(&reader)
    sessionUser = Self.field(&reader)
    role = Self.field(&reader)
    identity = Self.field(&reader)
    agent = Self.field(&reader)
    application = Self.field(&reader)
    clientAddress = Self.field(&reader)
    environment = Self.field(&reader)
    intent = Self.field(&reader)
    ticket = Self.field(&reader)
    run = Self.field(&reader)
    if reader.failed { return nil }
  }

  /// Nothing is written where there is no room for the shortest context.
  func encode(into writer: inout ByteWriter) {
    let room = min(writer.room, RecordLayout.longestContext)
    guard room >= Self.smallest else { return }
    let limit = fieldLimit(fitting: room &- Self.smallest)
    writer.append(Self.version)
    for index in 0..<Self.fieldCount { write(index, limit, into: &writer) }
  }

  /// The longest that a field may be, so that long fields are cut before short ones.
  private func fieldLimit(fitting room: Int) -> Int {
    var fits = 0
    var tooLong = RecordLayout.longestContext
    while tooLong &- fits > 1 {
      let middle = (fits &+ tooLong) / 2
      if total(limit: middle) <= room { fits = middle } else { tooLong = middle }
    }
    return fits
  }

  private func total(limit: Int) -> Int {
    var sum = 0
    for index in 0..<Self.fieldCount { sum &+= min(field(index).count, limit) }
    return sum
  }

  func field(_ index: Int) -> ByteView {
    switch index {
    case 0: database
    case 1: sessionUser
    case 2: role
    case 3: identity
    case 4: agent
    case 5: application
    case 6: clientAddress
    case 7: environment
    case 8: intent
    case 9: ticket
    default: run
    }
  }

  /// What the client says of itself: application_name may be a whole connection string.
  private static func isClaimed(_ index: Int) -> Bool { index == 4 || index == 5 || index >= 8 }

  private func write(_ index: Int, _ limit: Int, into writer: inout ByteWriter) {
    let field = field(index)
    guard Self.isClaimed(index), Secrets.mayBe(in: field) else { return Self.write(field, limit, into: &writer) }
    let limit = min(limit, field.count)
    var output = writer
    ByteWriter.withScratch(3 &* field.count &+ 16) { scratch in
      if !Secrets.remove(fromValue: field, into: &scratch) {
        scratch.rewind(to: 0)
        scratch.append("***")
      }
      Self.write(scratch.written(since: 0), limit, into: &output)
    }
    writer = output
  }

  private static func write(_ field: ByteView, _ limit: Int, into writer: inout ByteWriter) {
    guard !field.isNull else { return writer.append(native: RecordLayout.null16) }
    let kept = UTF8Shape.cut(field, to: limit)
    writer.append(native: UInt16(truncatingIfNeeded: kept))
    writer.append(field.prefix(kept))
  }

  private static func field(_ reader: inout ByteReader) -> ByteView {
    let length = reader.number(UInt16.self)
    guard length != RecordLayout.null16 else { return .null }
    return reader.view(Int(length))
  }

  /// The fields as C takes them, valid as long as what they were made from.
  @unsafe func fill(_ context: inout WardenAuditContext) {
    unsafe context.database = database.text
    unsafe context.session_user = sessionUser.text
    unsafe context.role = role.text
    unsafe context.identity = identity.text
    unsafe context.agent = agent.text
    unsafe context.application = application.text
    unsafe context.client_address = clientAddress.text
    unsafe context.environment = environment.text
    unsafe context.intent = intent.text
    unsafe context.ticket = ticket.text
    unsafe context.run = run.text
  }
}
