/// The names of labels, and of the patterns that select them.
///
/// A label is dotted lower-case words: `pii.email`. A pattern is a label, which selects itself; or `pii.*`, which
/// selects `pii` and everything below it; or `*`.
enum ColumnLabel {
  static let longest = 63

  /// Lower-case letters, digits and underscores in words that begin with a letter, with dots between them.
  static func isLabel(_ text: some Collection<UInt8>) -> Bool {
    guard text.count <= longest else { return false }
    var isFirstOfWord = true
    for byte in text {
      if byte == dot {
        if isFirstOfWord { return false }
        isFirstOfWord = true
      } else {
        let isLetter = byte >= 97 && byte <= 122
        guard isLetter || (!isFirstOfWord && ((byte >= 48 && byte <= 57) || byte == 95)) else { return false }
        isFirstOfWord = false
      }
    }
    return !isFirstOfWord
  }

  static func isPattern(_ text: [UInt8]) -> Bool {
    if text == [star] { return true }
    return isLabel(text.suffix(2) == [dot, star] ? text.dropLast(2) : text[...])
  }

  /// Every pattern that selects the label.
  static func patterns(selecting label: [UInt8]) -> [[UInt8]] {
    var patterns = [label, label + [dot, star], [star]]
    for (index, byte) in label.enumerated() where byte == dot {
      patterns.append(label.prefix(index) + [dot, star])
    }
    return patterns
  }

  /// Does the pattern select the label?
  static func isSelected(_ label: TextView, by pattern: [UInt8]) -> Bool {
    guard pattern.last == star else { return label.equals(pattern) }
    // Without the star: empty, or the words and a dot behind them.
    let words = pattern.dropLast(2)
    guard !words.isEmpty else { return true }
    guard label.count >= words.count, words.elementsEqual(label.bytes.prefix(words.count)) else { return false }
    return label.count == words.count || label.bytes.element(at: words.count) == dot
  }

  private static let dot: UInt8 = 46
  private static let star: UInt8 = 42
}
