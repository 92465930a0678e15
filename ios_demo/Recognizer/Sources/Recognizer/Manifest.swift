import Foundation

/// What a bundle's `manifest.json` says, as far as a device needs it; `docs/bundle.md` has the words.
///
/// `parse` gives only manifests that can be followed: Core ML in stream form, every size positive, every
/// state going in and coming out.
public struct Manifest: Sendable, Equatable {
    public let name: String
    public let precision: String  // int8, w8a16, fp16 or fp32
    public let method: String?  // how it was quantized; nil: it was not
    public let backbone: String
    public let temporal: String
    public let labels: [String]  // of each logit, in order
    public let artifact: FileEntry
    public let checkpointSha256: String
    public let input: InputSpec
    public let outputs: [TensorSpec]  // in the program's order; the logits come first
    public let state: [StateSpec]
    public let decision: Rule
    public let resetAfterMissed: Int  // missed ticks in a row
    public let golden: Golden
    public let interpreted: Bool  // true: the figures are those of a reference interpreter
    public let accuracy: Accuracy
    public let tools: [String: String]  // versions of what made the bundle
    public let oldestSystem: Int?  // iOS that the package needs at least; nil: it does not say

    public static let target = "coreml"
    public static let form = "stream"

    /// Reads the text of a manifest of schema 3.
    ///
    /// Throws `BundleError` for whatever `manifest.schema.json` refuses, and for a bundle that Core ML
    /// cannot be fed from a camera with: clip form, another target, an input that is no image.
    public static func parse(_ data: Data) throws -> Manifest { try readManifest(data) }
}

/// A file, or a folder as one, with its size in bytes and its SHA-256 in hexadecimal.
public struct FileEntry: Sendable, Equatable {
    public let file: String
    public let bytes: Int
    public let sha256: String
}

/// What a tensor's values are.
public enum Scalar: String, Sendable { case float16, float32 }

/// A tensor of the program.
public struct TensorSpec: Sendable, Equatable {
    public let name: String
    public let shape: [Int]
    public let scalar: Scalar

    /// How many values it has.
    public var size: Int { shape.reduce(1, *) }
}

/// A state: goes in as `input`, comes out as `output` of the same shape and type.
public struct StateSpec: Sendable, Equatable {
    public let input: TensorSpec
    public let output: String
}

/// The picture that the program takes; the normalisation is in the program.
public struct InputSpec: Sendable, Equatable {
    public let name: String
    public let size: Int  // pixels a side: the short side is resized to it, the centre is cropped
    public let frameRate: Double  // frames a second
}

/// A clip with the logits that every device has to give.
public struct Golden: Sendable, Equatable {
    public let frames: Int
    public let tolerance: Double  // bound of max |logit - golden| over max |golden|
    public let inputs: GoldenFile  // as other targets take them: only its hash is looked at here
    public let pixels: GoldenFile  // bytes (frames, 3, size, size)
    public let logits: GoldenFile  // 32-bit floats (frames, labels)
}

/// A raw little-endian file; frame t starts at byte t * `bytesAFrame`.
public struct GoldenFile: Sendable, Equatable {
    public let file: String
    public let shape: [Int]
    public let bytesAFrame: Int
    public let sha256: String
}

/// Top-1 in % on the clips of the export's check, of the checkpoint and of this artifact.
public struct Accuracy: Sendable, Equatable {
    public let data: String
    public let clips: Int
    public let checkpointTop1: Double
    public let artifactTop1: Double
    public let dropInterval: [Double]  // 95 %, points: low, high
}
