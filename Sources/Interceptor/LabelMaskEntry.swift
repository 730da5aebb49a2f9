// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Contract

// The functions of warden_label_mask.h, which says what each does. Their names are C's.

@c @implementation
public func warden_label_mask_rule(
  _ labels: UnsafePointer<WardenText>, _ labelCount: Int64, _ patterns: UnsafePointer<WardenText>,
  _ patternCount: Int64
) -> Int64 {
  let carried = unsafe texts(labels, labelCount)
  let index = unsafe MaskRule.index(for: carried, among: texts(patterns, patternCount))
  return index.map { Int64($0) } ?? -1
}

@c @implementation
public func warden_label_mask_pattern(_ pattern: WardenText) -> Bool {
  unsafe ColumnLabel.isPattern(TextView(pattern).copy)
}

@c @implementation
public func warden_label_mask_default(
  _ labels: UnsafePointer<WardenText>, _ count: Int64, _ rank: Int32, _ method: UnsafeMutablePointer<WardenBuffer>,
  _ options: UnsafeMutablePointer<WardenBuffer>
) -> Bool {
  var name = unsafe TextWriter(method)
  var json = unsafe TextWriter(options)
  guard let found = unsafe MaskDefault.find(for: texts(labels, count), rank: Int(rank)) else { return false }
  name.append(found.method)
  json.append(found.options)
  unsafe name.finish(method)
  unsafe json.finish(options)
  return !name.isCut && !json.isCut
}
