// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Contract

/// The tags of a statement, as JSON.
@c @implementation
public func warden_statement_tags(_ text: WardenText, _ out: UnsafeMutablePointer<WardenBuffer>) {
  let capacity = unsafe min(out.pointee.capacity, Int64(WARDEN_TAGS_CAPACITY))
  let room = unsafe ByteWriter(out.pointee.bytes, capacity: Int(truncatingIfNeeded: capacity))
  var tags = StatementTags(writer: room)
  let length = unsafe tags.write(ByteView(text))
  unsafe out.pointee.length = Int64(length)
}
