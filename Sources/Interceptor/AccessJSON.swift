import Contract

/// The JSON that the audit table has for the bytes of an AccessList; docs/audit-format.md describes it.
struct AccessJSON {
  private var writer: ByteWriter

  /// What has to stay free for the end of the list: `{"cut":true,"accesses":65535}]` and a comma.
  private static let ending = 40

  init(writer: ByteWriter) { self.writer = writer }

  /// Writes the list; empty where it is none, or has no room. The text is valid JSON whatever the bytes are.
  mutating func write(_ list: ByteView) -> ByteView {
    var reader = ByteReader(list)
    let entries = reader.number(UInt16.self)
    let accesses = reader.number(UInt16.self)
    guard !reader.failed, writer.capacity >= Self.ending else { return .null }
    writer.append(0x5B)
    var isComplete = entries == accesses
    for _ in 0..<entries {
      guard writeEntry(&reader) else {
        isComplete = false
        break
      }
    }
    if !isComplete {
      if writer.count > 1 { writer.append(0x2C) }
      writer.append("{\"cut\":true,\"accesses\":")
      writer.append(decimal: UInt64(accesses))
      writer.append(0x7D)
    }
    writer.append(0x5D)
    return writer.written(since: 0)
  }

  private mutating func writeEntry(_ reader: inout ByteReader) -> Bool {
    let classes = WardenClasses(reader.number(UInt32.self))
    let flags = reader.number(UInt8.self)
    let oid = reader.number(UInt32.self)
    let kind = reader.view(Int(reader.number(UInt8.self)))
    let name = reader.view(Int(reader.number(UInt16.self)))
    let via = flags & AccessList.viaFlag != 0 ? reader.view(Int(reader.number(UInt16.self))) : .null
    let labels = flags & AccessList.labelsFlag != 0 ? EncodedLabels(&reader) : EncodedLabels()
    let read = Int(reader.number(UInt16.self))
    let written = Int(reader.number(UInt16.self))
    let columns = reader
    skipColumns(read &+ written, &reader)
    guard !reader.failed else { return false }
    let actions = AccessActions(classes, readsColumns: read > 0)
    for action in actions {
      let start = writer.count
      writeHead(oid, kind, name, AccessActions.word(action))
      if actions.isOnEveryRow(action) { writer.append(",\"all\":true") }
      if flags & AccessList.cutFlag != 0 { writer.append(",\"cut\":true") }
      let isWrite = AccessActions.writesColumns(action)
      let count = action == WARDEN_CLASS_READ ? read : isWrite ? written : 0
      writeColumns(columns, skip: isWrite ? read : 0, count: count)
      if count > 0 { labels.write(forWrite: isWrite, into: &writer) }
      if !via.isNull { writeVia(via) }
      writer.append(0x7D)
      if writer.overflowed || writer.room < Self.ending {
        writer.rewind(to: start)
        return false
      }
    }
    return true
  }

  private mutating func writeHead(_ oid: UInt32, _ kind: ByteView, _ name: ByteView, _ action: StaticString) {
    if writer.count > 1 { writer.append(0x2C) }
    writer.append("{\"relation\":")
    writer.append(json: name)
    writer.append(",\"oid\":")
    writer.append(decimal: UInt64(oid))
    writer.append(",\"kind\":")
    writer.append(json: kind)
    writer.append(",\"action\":\"")
    writer.append(action)
    writer.append(0x22)
  }

  private mutating func writeVia(_ via: ByteView) {
    writer.append(",\"via\":")
    writer.append(json: via)
  }

  private mutating func writeColumns(_ columns: ByteReader, skip: Int, count: Int) {
    var first = columns
    skipColumns(skip, &first)
    writer.append(",\"columns\":[")
    writeNames(first, count: count, maskedOnly: false)
    writer.append("],\"masked_columns\":[")
    writeNames(first, count: count, maskedOnly: true)
    writer.append(0x5D)
  }

  private mutating func writeNames(_ columns: ByteReader, count: Int, maskedOnly: Bool) {
    var reader = columns
    var isFirst = true
    for _ in 0..<count where !writer.overflowed {
      let head = reader.number(UInt8.self)
      let name = reader.view(Int(head & 0x7F))
      if maskedOnly && head & 0x80 == 0 { continue }
      if !isFirst { writer.append(0x2C) }
      isFirst = false
      writer.append(json: name)
    }
  }

  private func skipColumns(_ count: Int, _ reader: inout ByteReader) {
    for _ in 0..<count where !reader.failed {
      _ = reader.view(Int(reader.number(UInt8.self) & 0x7F))
    }
  }
}

/// What a statement does to an object: one class at a time, each with its word.
private struct AccessActions: Sequence, IteratorProtocol {
  private var rest: WardenClasses
  private let classes: WardenClasses

  /// These say how rather than what: no action of their own where there is another.
  private static let manners: WardenClasses =
    WARDEN_CLASS_MERGE | WARDEN_CLASS_COPY_IN | WARDEN_CLASS_COPY_OUT | WARDEN_CLASS_COPY_PROGRAM
    | WARDEN_CLASS_SERVER_FILE | WARDEN_CLASS_SET | WARDEN_CLASS_CONNECT | WARDEN_CLASS_TRANSACTION
    | WARDEN_CLASS_MISC
  /// These stand for another class that they sharpen.
  private static let sharpened: WardenClasses =
    WARDEN_CLASS_UPDATE_ALL | WARDEN_CLASS_DELETE_ALL | WARDEN_CLASS_DROP_COLUMN

  init(_ classes: WardenClasses, readsColumns: Bool) {
    var acts = classes & ~Self.sharpened
    if classes & WARDEN_CLASS_UPDATE_ALL != 0 { acts |= WARDEN_CLASS_UPDATE }
    if classes & WARDEN_CLASS_DELETE_ALL != 0 { acts |= WARDEN_CLASS_DELETE }
    if classes & WARDEN_CLASS_DROP_COLUMN != 0 { acts |= WARDEN_CLASS_ALTER }
    // The columns in the condition of a DELETE have been looked at.
    if readsColumns { acts |= WARDEN_CLASS_READ }
    if acts & ~Self.manners != 0 { acts &= ~Self.manners }
    self.classes = classes
    rest = acts == 0 ? WARDEN_CLASS_MISC : acts
  }

  mutating func next() -> WardenClasses? {
    guard rest != 0 else { return nil }
    let lowest = rest & (~rest &+ 1)
    rest &= ~lowest
    return lowest
  }

  /// No condition kept a row out of it.
  func isOnEveryRow(_ action: WardenClasses) -> Bool {
    (action == WARDEN_CLASS_UPDATE && classes & WARDEN_CLASS_UPDATE_ALL != 0)
      || (action == WARDEN_CLASS_DELETE && classes & WARDEN_CLASS_DELETE_ALL != 0)
  }

  static func writesColumns(_ action: WardenClasses) -> Bool {
    let rowsOnly = WARDEN_CLASS_READ | WARDEN_CLASS_DELETE | WARDEN_CLASS_TRUNCATE | WARDEN_CLASS_DROP
    return action & (rowsOnly | WARDEN_CLASS_FUNCTION) == 0
  }

  static func word(_ action: WardenClasses) -> StaticString {
    switch action {
    case WARDEN_CLASS_READ: "read"
    case WARDEN_CLASS_FUNCTION: "execute"
    default: Labels.statementClass(action) ?? "misc"
    }
  }
}
