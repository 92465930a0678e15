// Stand-in for CoreMedia: what the app uses of it, with the iOS that has it first.
@_exported import CoreVideo

public struct CMTime: Sendable {  // iOS 4.0
    public var seconds: Double { fatalError() }  // iOS 4.0
}
public class CMSampleBuffer {  // iOS 4.0; not Sendable
    public var imageBuffer: CVImageBuffer? { fatalError() }  // iOS 13.0
    public var presentationTimeStamp: CMTime { fatalError() }  // iOS 13.0
}
