/// The labels of the columns that an entry of an AccessList tells, as bytes in the ring and as JSON.
///
/// Twice, for the columns read and for the columns written: `u8 labels · per label: u8 length + name`.
extension AccessList {
  static let mostLabels = 32

  /// At least as many bytes as `encodeLabels` will write.
  static func boundOfLabels(_ access: AccessView) -> Int {
    let count = access.labels.count
    return count == 0 ? 0 : 2 &+ 2 &* min(count, mostLabels) &* (1 &+ ColumnLabel.longest)
  }

  /// False, and nothing written, where no column with a label is touched. Overflows where there are more than fit.
  static func encodeLabels(_ access: AccessView, into writer: inout ByteWriter) -> Bool {
    guard access.labels.count > 0, writer.room >= 2 else { return false }
    let start = writer.count
    let read = encode(access.labels, of: access.read, into: &writer)
    let written = encode(access.labels, of: access.written, into: &writer)
    if read &+ written > 0 { return true }
    writer.rewind(to: start)
    return false
  }

  private static func encode(_ labels: ColumnLabels, of columns: Lent<Int16>, into writer: inout ByteWriter) -> Int {
    let start = writer.count
    var count = 0
    var index = 0
    writer.append(0 as UInt8)
    while columns.count > 0, let group = labels.group(from: &index) {
      guard columns.first(of: group) != 0 else { continue }
      // The other list's number still needs its byte.
      guard count < mostLabels, writer.room > 2 &+ group.label.count, group.label.count <= 127 else {
        writer.fail()
        break
      }
      writer.append(UInt8(truncatingIfNeeded: group.label.count))
      writer.append(group.label)
      count &+= 1
    }
    writer.store(UInt8(truncatingIfNeeded: count), at: start)
    return count
  }
}

/// What `encodeLabels` wrote, read again.
struct EncodedLabels {
  private var read = ByteReader(.null)
  private var written = ByteReader(.null)

  init() {}

  /// Reads both lists, and leaves the reader behind them.
  init(_ reader: inout ByteReader) {
    read = reader
    EncodedLabels.skip(&reader)
    written = reader
    EncodedLabels.skip(&reader)
  }

  /// `,"labels":["pii.email"]`, or nothing.
  func write(forWrite isWrite: Bool, into writer: inout ByteWriter) {
    var reader = isWrite ? written : read
    let count = reader.number(UInt8.self)
    guard count > 0 else { return }
    writer.append(",\"labels\":[")
    for index in 0..<count where !writer.overflowed {
      if index > 0 { writer.append(0x2C) }
      writer.append(json: reader.view(Int(reader.number(UInt8.self))))
    }
    writer.append(0x5D)
  }

  private static func skip(_ reader: inout ByteReader) {
    let count = reader.number(UInt8.self)
    for _ in 0..<count where !reader.failed { _ = reader.view(Int(reader.number(UInt8.self))) }
  }
}
