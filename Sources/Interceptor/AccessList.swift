import Contract

/// The relations and other objects that a statement touches: as bytes in the ring, as JSON in the audit.
///
/// The list has the names with it, because the writer that reads it has no catalog to look them up in:
/// ```
/// u16 entries here · u16 accesses of the statement · per entry:
///   u32 oid · u32 classes · u8 cut · u8 n + n bytes of kind · u16 n + n bytes of name
///   u16 columns read · u16 columns written · per column: u8 (length, 0x80 = masked) + name
/// ```
enum AccessList {
  static let mostEntries = 64
  static let capacity = 8192

  private static let listHeader = 4
  private static let entryHeader = 9
  private static let longestKind = 63
  private static let longestName = 511
  private static let longestColumn = 127
  private static let mostColumns = 2048

  /// At least as many bytes as `encode` will write.
  @inline(__always)
  static func bound(_ accesses: Lent<WardenAccess>) -> Int {
    guard accesses.count > 0 else { return 0 }
    var sum = listHeader
    for index in 0..<min(accesses.count, mostEntries) {
      guard let access = unsafe accesses.address(at: index) else { break }
      sum &+= unsafe bound(access)
      if sum >= capacity { return capacity }
    }
    return sum
  }

  /// Writes what fits into the room of `writer`.
  @inline(__always)
  static func encode(_ accesses: Lent<WardenAccess>, into writer: inout ByteWriter) {
    guard accesses.count > 0, writer.room >= listHeader else { return }
    let start = writer.count
    writer.skip(2)
    writer.append(native: UInt16(clamping: accesses.count))
    var entries = 0
    while entries < min(accesses.count, mostEntries), let access = unsafe accesses.address(at: entries) {
      guard unsafe encode(access, into: &writer) else { break }
      entries &+= 1
    }
    writer.store(UInt16(truncatingIfNeeded: entries), at: start)
  }

  @unsafe private static func bound(_ access: UnsafePointer<WardenAccess>) -> Int {
    let object = unsafe access.pointee.object
    let texts = unsafe ByteView(object.pointee.kind).count &+ ByteView(object.pointee.name).count
    let read = unsafe Lent(access.pointee.read_columns, count: access.pointee.read_count)
    let written = unsafe Lent(access.pointee.written_columns, count: access.pointee.written_count)
    var columns = read.count &+ written.count
    // 0 is the whole row; system columns come before it.
    if hasWholeRow(read) { columns &+= unsafe Lent(object.pointee.columns, count: object.pointee.column_count).count }
    if hasWholeRow(written) { columns &+= unsafe Lent(object.pointee.columns, count: object.pointee.column_count).count }
    let most = min(columns, mostColumns) &* (1 &+ longestColumn)
    return min(entryHeader &+ 7 &+ min(texts, longestKind &+ longestName) &+ most, capacity)
  }

  /// False, and nothing written, where not even the object's name fits.
  @unsafe private static func encode(_ access: UnsafePointer<WardenAccess>, into writer: inout ByteWriter) -> Bool {
    let start = writer.count
    let object = unsafe access.pointee.object
    writer.append(native: unsafe object.pointee.oid)
    writer.append(native: unsafe UInt32(truncatingIfNeeded: access.pointee.classes))
    writer.append(UInt8(0))
    let kind = unsafe ByteView(object.pointee.kind).prefix(longestKind)
    writer.append(UInt8(truncatingIfNeeded: kind.count))
    writer.append(kind)
    let name = unsafe ByteView(object.pointee.name).prefix(longestName)
    writer.append(native: UInt16(truncatingIfNeeded: name.count))
    writer.append(name)
    let counts = writer.count
    writer.skip(4)
    guard !writer.overflowed else {
      writer.rewind(to: start)
      return false
    }
    let names = unsafe Lent(object.pointee.columns, count: object.pointee.column_count)
    let masked = unsafe Lent(access.pointee.masked_columns, count: access.pointee.masked_count)
    let nothing = unsafe Lent<Int16>(nil, count: 0)
    var columns = ColumnEncoder(names: names, writer: writer)
    columns.append(unsafe Lent(access.pointee.read_columns, count: access.pointee.read_count), masked: masked)
    let read = columns.count
    columns.append(unsafe Lent(access.pointee.written_columns, count: access.pointee.written_count), masked: nothing)
    writer = columns.writer
    writer.store(UInt16(truncatingIfNeeded: read), at: counts)
    writer.store(UInt16(truncatingIfNeeded: columns.count &- read), at: counts &+ 2)
    if columns.isCut { writer.store(UInt8(1), at: start &+ 8) }
    return true
  }

  private static func hasWholeRow(_ columns: Lent<Int16>) -> Bool {
    var index = 0
    while let column = columns.element(at: index), column <= 0 {
      if column == 0 { return true }
      index &+= 1
    }
    return false
  }
}

/// Writes the names of columns.
private struct ColumnEncoder {
  let names: Lent<WardenText>
  var writer: ByteWriter
  private(set) var count = 0
  private(set) var isCut = false

  init(names: Lent<WardenText>, writer: ByteWriter) {
    self.names = names
    self.writer = writer
  }

  mutating func append(_ columns: Lent<Int16>, masked: Lent<Int16>) {
    var index = 0
    var hasWholeRow = false
    while let column = columns.element(at: index), !isCut {
      if column == 0 {
        appendWholeRow(masked: masked)
        hasWholeRow = true
      } else if column < 0 || !hasWholeRow {
        append(column, masked: masked)
      }
      index &+= 1
    }
  }

  private mutating func appendWholeRow(masked: Lent<Int16>) {
    for index in 0..<min(names.count, Int(Int16.max)) where !isCut {
      guard let name = unsafe names.element(at: index), unsafe name.length > 0 else { continue }
      append(Int16(truncatingIfNeeded: index &+ 1), masked: masked)
    }
  }

  private mutating func append(_ column: Int16, masked: Lent<Int16>) {
    let start = writer.count
    let name = self.name(of: column).prefix(127)
    let isMasked = Self.contains(masked, column)
    writer.append(UInt8(truncatingIfNeeded: name.count) | (isMasked ? 0x80 : 0))
    writer.append(name)
    if writer.overflowed || count >= 4096 {
      writer.rewind(to: start)
      isCut = true
    } else {
      count &+= 1
    }
  }

  private func name(of column: Int16) -> ByteView {
    if column < 0 { return ByteView(Self.systemColumn(column)) }
    guard let name = unsafe names.element(at: Int(column) &- 1), unsafe name.length > 0 else { return ByteView("?") }
    return unsafe ByteView(name)
  }

  private static func systemColumn(_ column: Int16) -> StaticString {
    switch column {
    case -1: "ctid"
    case -2: "xmin"
    case -3: "cmin"
    case -4: "xmax"
    case -5: "cmax"
    case -6: "tableoid"
    default: "?"
    }
  }

  private static func contains(_ masked: Lent<Int16>, _ column: Int16) -> Bool {
    for candidate in masked where candidate == column || (candidate == 0 && column > 0) { return true }
    return false
  }
}
