/// A text for people: a template, in English, and what goes into its places `%1$s` to `%9$s`. The template is what is
/// translated, by the server's gettext, in C: so every one is a whole sentence and a literal, which po/update.sh finds.
/// `%%` is a percent sign. What goes into the places is never translated: names, commands, classes.
struct Message {
  let template: [UInt8]
  let arguments: [[UInt8]]

  init(_ template: StaticString, _ arguments: [UInt8]...) {
    self.template = [UInt8](template)
    self.arguments = arguments
  }

  /// The opening, a space, and a place in double quotes for `value`, which is cut where it is long.
  init(_ opening: StaticString, quoting value: [UInt8]) {
    template = [UInt8](opening) + [UInt8](" \"%1$s\"")
    arguments = [Array(value.prefix(Message.longestValue))]
  }

  private static let longestValue = 200

  /// The template with its places filled.
  var english: [UInt8] {
    var text: [UInt8] = []
    var rest = template[...]
    while let byte = rest.popFirst() {
      if byte == 37, let argument = place(&rest) { text += argument } else { text.append(byte) }
    }
    return text
  }

  /// The template and the arguments, a zero byte after each; nil where they could not be told apart again.
  var parts: [UInt8]? {
    guard !template.contains(0), !arguments.contains(where: { $0.contains(0) }) else { return nil }
    var parts = template + [0]
    for argument in arguments { parts += argument + [0] }
    return parts
  }

  /// What stands for the place after a percent sign; nil where there is none.
  private func place(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
    if rest.first == 37 {
      _ = rest.popFirst()
      return [37]
    }
    guard let digit = rest.first, rest.dropFirst().starts(with: [36, 115]) else { return nil }
    let number = Int(digit) &- 49
    guard arguments.indices.contains(number) else { return nil }
    rest = rest.dropFirst(3)
    return arguments[number]
  }
}
