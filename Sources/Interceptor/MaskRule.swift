/// Which mask by label holds for a column.
enum MaskRule {
  /// The exact pattern before one with a star, then the longer one, then the first by name: no order of definition, and no
  /// order of labels, makes a difference. nil where no pattern selects any of the labels.
  static func index(for labels: [TextView], among patterns: [TextView]) -> Int? {
    var best: (index: Int, pattern: [UInt8])?
    for (index, text) in patterns.enumerated() {
      let pattern = text.copy
      guard labels.contains(where: { ColumnLabel.isSelected($0, by: pattern) }) else { continue }
      if let other = best?.pattern, !isBefore(pattern, other) { continue }
      best = (index, pattern)
    }
    return best?.index
  }

  private static func isBefore(_ pattern: [UInt8], _ other: [UInt8]) -> Bool {
    let isExact = pattern.last != 42
    if isExact != (other.last != 42) { return isExact }
    if pattern.count != other.count { return pattern.count > other.count }
    return pattern.lexicographicallyPrecedes(other)
  }
}
