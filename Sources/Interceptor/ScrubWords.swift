/// Finds what a sign or a word tells: addresses, keys, secrets that are named, identity numbers with letters in them.
struct ScrubWords {
  private let text: ByteView
  private var index = 0
  /// Where the last match ended: what was found once is part of nothing else.
  private var floor = 0
  /// Up to here, runs of letters and digits have been looked at for chance.
  private var measured = 0

  init(_ text: ByteView) { self.text = text }

  /// The next match, nil where there is none.
  mutating func next() -> MaskScrub.Match? {
    while index < text.count {
      let byte = text[index]
      if ScrubBytes.isAlphanumeric(byte) {
        let previous = index > floor ? text[index &- 1] : 0
        if !ScrubBytes.isAlphanumeric(previous), previous != 0x5F, let match = atWord() { return take(match) }
      } else if let match = atSign(byte) {
        return take(match)
      }
      index &+= 1
    }
    return nil
  }

  private mutating func take(_ match: MaskScrub.Match) -> MaskScrub.Match? {
    index = max(match.end, index &+ 1)
    floor = match.end
    return match
  }

  private func atSign(_ byte: UInt8) -> MaskScrub.Match? {
    switch byte {
    case 0x40: ScrubAddress.email(text, at: index, floor: floor)
    case 0x3A:
      ScrubAddress.credentials(text, colon: index) ?? ScrubSecrets.named(text, sign: index, floor: floor)
        ?? ScrubAddress.ipv6(text, at: index, floor: floor)
    case 0x3D: ScrubSecrets.named(text, sign: index, floor: floor)
    case 0x2D: ScrubSecrets.privateKey(text, at: index)
    default: nil
    }
  }

  private mutating func atWord() -> MaskScrub.Match? {
    if let match = ScrubSecrets.uuid(text, at: index) { return match }
    if let match = ScrubSecrets.prefixed(text, at: index) ?? ScrubSecrets.announced(text, at: index) { return match }
    if let match = ScrubIdentity.lettered(text, at: index) ?? ScrubIBAN.match(text, at: index) { return match }
    if let match = ScrubAddress.ipv6(text, at: index, floor: floor) { return match }
    guard index >= measured else { return nil }
    let run = ScrubSecrets.Run(text, from: index)
    measured = run.end
    return run.isSecret ? MaskScrub.Match(start: index, end: run.end, marker: "[key]") : nil
  }
}
