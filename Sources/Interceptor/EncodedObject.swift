/// What access lists say of an object, encoded once. C keeps it with the object, so that a record's list is a few
/// copies of it:
/// ```
/// u32 bytes of the head · u32 columns · per column: u32 where it ends, from the first column's beginning on
/// head: u32 oid · u8 n + n bytes of kind · u16 n + n bytes of name
/// columns: u8 length + name
/// ```
struct EncodedObject {
  let head: ByteView
  let columnCount: Int
  private let ends: ByteView
  private let columns: ByteView

  /// nil where the bytes are none.
  @inline(__always)
  init?(_ bytes: ByteView) {
    guard bytes.count >= 8 else { return nil }
    let headLength = Int(bytes.load(at: 0, as: UInt32.self))
    columnCount = Int(bytes.load(at: 4, as: UInt32.self))
    let headStart = 8 &+ 4 &* columnCount
    guard headStart &+ headLength <= bytes.count else { return nil }
    ends = bytes.slice(8, headStart)
    head = bytes.slice(headStart, headStart &+ headLength)
    columns = bytes.slice(headStart &+ headLength, bytes.count)
  }

  /// How many bytes an entry may need for all columns.
  var columnBytes: Int { columns.count }

  /// Columns by attribute number, as they are in an entry; empty where there are no such columns.
  @inline(__always)
  func columns(from first: Int, through last: Int) -> ByteView {
    guard first > 0, first <= last, last <= columnCount else { return .null }
    let start = first == 1 ? 0 : ends.load(at: 4 &* (first &- 2), as: UInt32.self)
    return columns.slice(Int(start), Int(ends.load(at: 4 &* (last &- 1), as: UInt32.self)))
  }

  /// - Parameter names: of the columns, by number - 1.
  static func encode(head: ByteView, names: ColumnNames, into writer: inout ByteWriter) {
    let start = writer.count
    writer.append(native: UInt32(truncatingIfNeeded: head.count))
    writer.append(native: UInt32(truncatingIfNeeded: names.count))
    let ends = writer.count
    writer.skip(4 &* names.count)
    writer.append(head)
    let first = writer.count
    for index in 0..<names.count where !writer.overflowed {
      _ = writer.appendColumn(names.name(of: index &+ 1), flags: 0)
      writer.store(UInt32(truncatingIfNeeded: writer.count &- first), at: ends &+ 4 &* index)
    }
    if writer.overflowed { writer.rewind(to: start) }
  }
}
