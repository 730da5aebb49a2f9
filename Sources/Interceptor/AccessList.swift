import Contract

/// The relations and other objects that a statement touches: as bytes in the ring, as JSON in the audit.
///
/// The list has the names with it, because the writer that reads it has no catalog to look them up in:
/// ```
/// u16 entries here · u16 accesses of the statement · per entry:
///   u32 classes · u8 flags · u32 oid · u8 n + n bytes of kind · u16 n + n bytes of name · u16 n + n bytes of via
///   (where the flags say so) · labels (where the flags say so; AccessListLabels.swift) · u16 columns read · u16 columns written · per column: u8 (length, 0x80 = masked) + name
/// ```
enum AccessList {
  static let mostEntries = 64
  static let capacity = 8192

  /// Flags of an entry: the object has more columns than there was room for; it was reached through another; some of
  /// the columns carry labels.
  static let cutFlag: UInt8 = 1
  static let viaFlag: UInt8 = 2
  static let labelsFlag: UInt8 = 4

  private static let listHeader = 4
  private static let entryHeader = 16
  /// The same without what is in an object's head: classes, flags, how many columns.
  private static let entryFrame = 9
  /// All of them, with their lengths.
  private static let systemColumnBytes = 40
  private static let longestKind = 63
  private static let longestName = 511
  private static let longestColumn = 127
  private static let mostColumns = 4096

  /// At least as many bytes as `encode` will write.
  @inline(__always)
  static func bound(_ accesses: AccessesView) -> Int {
    guard accesses.count > 0 else { return 0 }
    var sum = listHeader
    for index in 0..<min(accesses.count, mostEntries) {
      guard let access = accesses.access(at: index) else { break }
      sum &+= bound(access) &+ boundOfLabels(access)
      if sum >= capacity { return capacity }
    }
    return sum
  }

  @inline(__always)
  private static func bound(_ access: AccessView) -> Int {
    if let object = EncodedObject(access.encoded) {
      let lists = (access.read.count > 0 ? 1 : 0) &+ (access.written.count > 0 ? 1 : 0)
      let via = access.via.count > 0 ? 2 &+ min(access.via.count, longestName) : 0
      return entryFrame &+ object.head.count &+ via &+ lists &* (object.columnBytes &+ systemColumnBytes)
    }
    return boundOfNames(access)
  }

  private static func boundOfNames(_ access: AccessView) -> Int {
    let columns = bound(access.read, access.names) &+ bound(access.written, access.names)
    let via = access.via
    let texts =
      min(access.kind.count, longestKind) &+ min(access.name.count, longestName)
      &+ (via.count > 0 ? 2 &+ min(via.count, longestName) : 0)
    return entryHeader &+ texts &+ min(columns, mostColumns) &* (1 &+ longestColumn)
  }

  @inline(__always)
  private static func bound(_ columns: Lent<Int16>, _ names: ColumnNames) -> Int {
    guard let first = columns.element(at: 0) else { return 0 }
    // 0 is the whole row; only system columns come before it.
    let most = min(columns.count, mostColumns)
    return first > 0 ? most : most &+ min(names.count, mostColumns)
  }

  /// Writes what fits into the room of `writer`.
  @inline(__always)
  static func encode(_ accesses: AccessesView, into writer: inout ByteWriter) {
    guard accesses.count > 0, writer.room >= listHeader else { return }
    let start = writer.count
    writer.skip(2)
    writer.append(native: UInt16(truncatingIfNeeded: min(accesses.count, Int(UInt16.max))))
    var entries = 0
    while entries < min(accesses.count, mostEntries), let access = accesses.access(at: entries) {
      guard encode(access, into: &writer) else { break }
      entries &+= 1
    }
    writer.store(UInt16(truncatingIfNeeded: entries), at: start)
  }

  /// False, and nothing written, where not even the object's name fits.
  @inline(__always)
  private static func encode(_ access: AccessView, into writer: inout ByteWriter) -> Bool {
    let start = writer.count
    let via = access.via
    let viaSize = via.count > 0 ? 2 &+ min(via.count, longestName) : 0
    let object = EncodedObject(access.encoded)
    guard writer.room >= entryFrame &+ viaSize &+ (object?.head.count ?? headSize(access)) else { return false }
    var flags = via.count > 0 ? viaFlag : 0
    writer.append(native: access.classes)
    writer.append(flags)
    if let object { writer.append(object.head) } else { writeHead(access, into: &writer) }
    if via.count > 0 {
      writer.append(native: UInt16(truncatingIfNeeded: min(via.count, longestName)))
      writer.append(via.prefix(longestName))
    }
    let hasLabels = encodeLabels(access, into: &writer)
    if hasLabels {
      flags |= labelsFlag
      writer.store(flags, at: start &+ 4)
    }
    let counts = writer.count
    writer.skip(4)
    let read = encode(access.read, of: access, object, masked: access.masked, into: &writer)
    writer.store(UInt16(truncatingIfNeeded: read), at: counts)
    let written = encode(access.written, of: access, object, masked: .none, into: &writer)
    writer.store(UInt16(truncatingIfNeeded: written), at: counts &+ 2)
    if writer.overflowed {
      writer.forgetOverflow()
      writer.store(flags | cutFlag, at: start &+ 4)
    }
    return true
  }

  private static func headSize(_ access: AccessView) -> Int {
    7 &+ min(access.kind.count, longestKind) &+ min(access.name.count, longestName)
  }

  private static func writeHead(_ access: AccessView, into writer: inout ByteWriter) {
    let kind = access.kind.prefix(longestKind)
    let name = access.name.prefix(longestName)
    writer.append(native: access.oid)
    writer.append(UInt8(truncatingIfNeeded: kind.count))
    writer.append(kind)
    writer.append(native: UInt16(truncatingIfNeeded: name.count))
    writer.append(name)
  }

  /// For WardenObject.encoded.
  static func encodeObject(_ object: AccessView, into writer: inout ByteWriter) {
    var output = writer
    ByteWriter.withScratch(headSize(object)) { head in
      writeHead(object, into: &head)
      EncodedObject.encode(head: head.written(since: 0), names: object.names, into: &output)
    }
    writer = output
  }

  /// Returns how many columns were written; `writer` overflows where there are more.
  @inline(__always)
  private static func encode(
    _ columns: Lent<Int16>, of access: AccessView, _ object: EncodedObject?, masked: Lent<Int16>,
    into writer: inout ByteWriter
  ) -> Int {
    guard let first = columns.element(at: 0) else { return 0 }
    if first <= 0 || masked.count > 0 { return encodeSlowly(columns, of: access, masked: masked, into: &writer) }
    if let object { return copy(columns, of: object, into: &writer) }
    var count = 0
    for column in columns {
      let name = access.names.name(of: Int(column))
      guard writer.appendColumn(name, flags: 0) else { break }
      count &+= 1
    }
    return count
  }

  /// Columns that follow each other are one piece.
  @inline(__always)
  private static func copy(_ columns: Lent<Int16>, of object: EncodedObject, into writer: inout ByteWriter) -> Int {
    var count = 0
    var index = 0
    while index < columns.count, let column = columns.element(at: index) {
      let first = Int(column)
      var next = index &+ 1
      while let following = columns.element(at: next), Int(following) == first &+ next &- index { next &+= 1 }
      let names = object.columns(from: first, through: first &+ next &- index &- 1)
      guard names.count > 0, names.count <= writer.room else {
        return copySingly(columns, from: index, of: object, count, into: &writer)
      }
      writer.append(names)
      count &+= next &- index
      index = next
    }
    return count
  }

  /// Where not all fit, or not all are there.
  private static func copySingly(
    _ columns: Lent<Int16>, from start: Int, of object: EncodedObject, _ copied: Int, into writer: inout ByteWriter
  ) -> Int {
    var count = copied
    for index in start..<max(columns.count, start) {
      let column = Int(columns.element(at: index) ?? 0)
      let name = object.columns(from: column, through: column)
      guard writer.appendColumn(name.slice(1, name.count), flags: 0) else { break }
      count &+= 1
    }
    return count
  }

  /// With system columns, the whole row, masks.
  private static func encodeSlowly(
    _ columns: Lent<Int16>, of access: AccessView, masked: Lent<Int16>, into writer: inout ByteWriter
  ) -> Int {
    var count = 0
    var hasWholeRow = false
    for column in columns where !writer.overflowed && (column < 0 || !hasWholeRow) {
      if column == 0 {
        hasWholeRow = true
        count &+= encodeWholeRow(access, masked: masked, into: &writer)
      } else {
        let name = column < 0 ? ByteView(systemColumn(column)) : access.names.name(of: Int(column))
        if writer.appendColumn(name, flags: contains(masked, Int(column)) ? 0x80 : 0) { count &+= 1 }
      }
    }
    return count
  }

  private static func encodeWholeRow(
    _ access: AccessView, masked: Lent<Int16>, into writer: inout ByteWriter
  ) -> Int {
    var count = 0
    for index in 0..<min(access.names.count, mostColumns) where !writer.overflowed {
      let name = access.names.name(of: index &+ 1)
      // A dropped column.
      if name.count == 0 { continue }
      if writer.appendColumn(name, flags: contains(masked, index &+ 1) ? 0x80 : 0) { count &+= 1 }
    }
    return count
  }

  private static func contains(_ masked: Lent<Int16>, _ column: Int) -> Bool {
    for candidate in masked where Int(candidate) == column || (candidate == 0 && column > 0) { return true }
    return false
  }

  private static func systemColumn(_ column: Int16) -> StaticString {
    switch column {
    case -1: "ctid"
    case -2: "xmin"
    case -3: "cmin"
    case -4: "xmax"
    case -5: "cmax"
    case -6: "tableoid"
    default: ""
    }
  }
}

extension ByteWriter {
  /// Length and name; a name that is not known is a question mark.
  @inline(__always)
  mutating func appendColumn(_ name: ByteView, flags: UInt8) -> Bool {
    let name = name.count == 0 ? ByteView("?") : name.count <= 127 ? name : name.prefix(127)
    guard name.count < room else {
      fail()
      return false
    }
    append(UInt8(truncatingIfNeeded: name.count) | flags)
    append(name)
    return true
  }
}

extension Lent<Int16> {
  fileprivate static var none: Lent<Int16> { unsafe Lent(nil, count: 0) }
}

/// The accesses of a statement, as C gives them.
@safe struct AccessesView {
  private let start: UnsafePointer<WardenAccess>?
  let count: Int

  @inline(__always)
  init(_ statement: UnsafePointer<WardenStatement>?) {
    unsafe start = statement?.pointee.accesses
    let count = unsafe start == nil ? 0 : statement?.pointee.access_count ?? 0
    self.count = max(Int(truncatingIfNeeded: count), 0)
  }

  @inline(__always)
  func access(at index: Int) -> AccessView? {
    guard index >= 0, index < count, let start = unsafe start else { return nil }
    return unsafe AccessView(start + index)
  }
}

/// One access; its parts are read where they are used.
@safe struct AccessView {
  private let access: UnsafePointer<WardenAccess>

  @inline(__always)
  init(_ access: UnsafePointer<WardenAccess>) { unsafe self.access = access }

  var oid: UInt32 { unsafe access.pointee.object.pointee.oid }
  var classes: UInt32 { unsafe UInt32(truncatingIfNeeded: access.pointee.classes) }
  var kind: ByteView { unsafe ByteView(access.pointee.object.pointee.kind) }
  var name: ByteView { unsafe ByteView(access.pointee.object.pointee.name) }
  var via: ByteView { unsafe ByteView(access.pointee.via) }
  var encoded: ByteView { unsafe ByteView(access.pointee.object.pointee.encoded) }
  var names: ColumnNames { unsafe ColumnNames(access.pointee.object) }
  var labels: ColumnLabels {
    unsafe ColumnLabels(Lent(access.pointee.object.pointee.labels, count: access.pointee.object.pointee.label_count))
  }
  var read: Lent<Int16> { unsafe Lent(access.pointee.read_columns, count: access.pointee.read_count) }
  var written: Lent<Int16> { unsafe Lent(access.pointee.written_columns, count: access.pointee.written_count) }
  var masked: Lent<Int16> { unsafe Lent(access.pointee.masked_columns, count: access.pointee.masked_count) }
}

/// The names of an object's columns by attribute number; empty where there is no such column.
@safe struct ColumnNames {
  private let start: UnsafePointer<WardenText>?
  let count: Int

  @inline(__always)
  fileprivate init(_ object: UnsafePointer<WardenObject>) {
    unsafe start = object.pointee.columns
    let count = unsafe start == nil ? 0 : object.pointee.column_count
    self.count = max(Int(truncatingIfNeeded: count), 0)
  }

  @inline(__always)
  func name(of column: Int) -> ByteView {
    guard column > 0, column <= count, let start = unsafe start else { return .null }
    return unsafe ByteView(start[column &- 1])
  }
}
