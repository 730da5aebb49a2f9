import Contract

/// What listeners on the channel of events are told of an alert that a guard raised; docs/audit-format.md.
struct AlertJSON {
  private var writer: ByteWriter

  init(writer: ByteWriter) { self.writer = writer }

  /// nil where there is not enough room.
  @unsafe mutating func write(_ row: WardenAuditRow) -> Int? {
    let context = unsafe SessionContext(encoded: ByteView(row.context))
    writer.append("{\"event\":\"alert\",\"kind\":\"alert\",\"alert\":\"guard\"")
    unsafe member(",\"guard\":", ByteView(row.guard))
    writer.append(",\"seq\":")
    writer.append(decimal: unsafe row.seq)
    unsafe session(row.session)
    unsafe statementNumber(row.statement_no)
    unsafe member(",\"class\":", ByteView(row.statement_class))
    unsafe member(",\"command\":", ByteView(row.command))
    unsafe member(",\"object\":", AccessList.firstName(ByteView(row.access_list)))
    member(",\"database\":", context?.database ?? .null)
    member(",\"session_user\":", context?.sessionUser ?? .null)
    member(",\"role\":", context?.role ?? .null)
    writer.append(0x7D)
    return writer.overflowed ? nil : writer.count
  }

  private mutating func member(_ key: StaticString, _ value: ByteView) {
    writer.append(key)
    if value.isNull { writer.append("null") } else { writer.append(json: value) }
  }

  private mutating func statementNumber(_ number: UInt64) {
    guard number != 0 else { return writer.append(",\"statement_no\":null") }
    writer.append(",\"statement_no\":")
    writer.append(decimal: number)
  }

  /// As the audit's views write it: start of the session and process, in hexadecimal.
  private mutating func session(_ session: UInt64) {
    writer.append(",\"session_id\":\"")
    hexadecimal(session >> 22)
    writer.append(0x2E)
    hexadecimal(session & 0x3FFFFF)
    writer.append(0x22)
  }

  private mutating func hexadecimal(_ number: UInt64) {
    var shift: UInt64 = 60
    while shift > 0, number >> shift == 0 { shift &-= 4 }
    while true {
      let digit = UInt8(truncatingIfNeeded: (number >> shift) & 0xF)
      writer.append(digit < 10 ? 0x30 &+ digit : 0x57 &+ digit)
      guard shift > 0 else { return }
      shift &-= 4
    }
  }
}

extension AccessList {
  /// The name of the first object in a list; NULL where there is none.
  static func firstName(_ list: ByteView) -> ByteView {
    var reader = ByteReader(list)
    let entries = reader.number(UInt16.self)
    _ = reader.number(UInt16.self)
    _ = reader.number(UInt32.self)
    _ = reader.number(UInt8.self)
    _ = reader.number(UInt32.self)
    _ = reader.view(Int(reader.number(UInt8.self)))
    let name = reader.view(Int(reader.number(UInt16.self)))
    return entries == 0 || reader.failed ? .null : name
  }
}
