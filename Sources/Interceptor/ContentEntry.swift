// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Contract

// The functions of warden_content.h, which says what each does. Their names are C's.

@c @implementation
public func warden_mask_fake(
  _ kind: WardenText, _ digest: WardenText, _ value: WardenText, _ max_characters: Int32,
  _ out: UnsafeMutablePointer<WardenBuffer>
) -> Bool {
  var writer = unsafe ByteWriter(out)
  guard let wanted = FakeKind(unsafe ByteView(kind)) else { return false }
  let isWritten = MaskFake.write(
    wanted, digest: unsafe ByteView(digest), value: unsafe ByteView(value), limit: max_characters, to: &writer)
  if isWritten { unsafe writer.finish(out) }
  return isWritten
}

@c @implementation
public func warden_mask_scrub(
  _ value: WardenText, _ encoding: WardenEncoding, _ work: UnsafeMutablePointer<WardenBuffer>,
  _ out: UnsafeMutablePointer<WardenBuffer>
) -> Bool {
  var memory = unsafe ByteWriter(work)
  var writer = unsafe ByteWriter(out)
  let isWritten = MaskScrub.write(unsafe ByteView(value), encoding: encoding, work: &memory, to: &writer)
  if isWritten { unsafe writer.finish(out) }
  return isWritten
}

@c @implementation
public func warden_mask_json(
  _ value: WardenText, _ plan: WardenText, _ encoding: WardenEncoding, _ work: UnsafeMutablePointer<WardenBuffer>,
  _ out: UnsafeMutablePointer<WardenBuffer>
) -> WardenJSONResult {
  var writer = unsafe ByteWriter(out)
  let result = unsafe MaskJSON.write(
    ByteView(value), plan: ByteView(plan), encoding: encoding, work: ByteWriter(work), to: &writer)
  if result == WARDEN_JSON_MASKED { unsafe writer.finish(out) }
  return result
}
