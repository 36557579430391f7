// Canvases as sharp as the screen.

/** Fit a canvas to its place, with so many of its pixels to one of the page; return its context. */
export function fitted(canvas, most = 2, least = 1) {
  const ratio = Math.min(Math.max(window.devicePixelRatio || 1, least), most);
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

/** Draw a dot with an edge. */
export function drawDot(context, x, y, radius, fill, edge, width) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = fill;
  context.fill();
  context.lineWidth = width;
  context.strokeStyle = edge;
  context.stroke();
}

/** Many equal dots, written into the pixels of a canvas: thousands in a millisecond. */
export class Dots {
  /** Begin with a clean canvas, and a dot drawn once as a stamp. */
  begin(context, radius, fill, edge, width) {
    const { canvas } = context;
    this.context = context;
    this.ratio = canvas.width / (canvas.clientWidth || 1);
    const look = [radius, fill, edge, width, this.ratio].join();
    if (look !== this.look)
      [this.look, this.stamp] = [look, this.stamped(radius, fill, edge, width)];
    if (this.image?.width !== canvas.width || this.image?.height !== canvas.height) {
      this.image = new ImageData(canvas.width, canvas.height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.pixels.fill(0);
  }

  stamped(radius, fill, edge, width) {
    const side = Math.ceil(2 * (radius + width) * this.ratio) | 1;
    const canvas = new OffscreenCanvas(side, side);
    const context = canvas.getContext("2d");
    context.scale(this.ratio, this.ratio);
    const middle = side / 2 / this.ratio;
    drawDot(context, middle, middle, radius, fill, edge, width);
    return { side, pixels: new Uint32Array(context.getImageData(0, 0, side, side).data.buffer) };
  }

  /** Put a dot at a place of the page. */
  put(x, y) {
    const { width, height } = this.image;
    const { side, pixels } = this.stamp;
    const left = Math.round(x * this.ratio - side / 2);
    const top = Math.round(y * this.ratio - side / 2);
    for (let j = 0; j < side; j++) {
      const row = top + j;
      if (row < 0 || row >= height) continue;
      for (let i = 0; i < side; i++) {
        const column = left + i;
        const color = pixels[j * side + i];
        const at = row * width + column;
        if (column >= 0 && column < width && color >>> 24 >= this.pixels[at] >>> 24) {
          this.pixels[at] = color;
        }
      }
    }
  }

  end() {
    this.context.putImageData(this.image, 0, 0);
  }
}
