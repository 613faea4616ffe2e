package intake
import ("testing";"strings";"fmt";"time")
func TestQ(t *testing.T){
 var sb strings.Builder
 for i:=0;i<100000;i++{ switch i%4{case 0: fmt.Fprintf(&sb,"host%d.evil-domain%d.com\n",i,i%999); case 1: fmt.Fprintf(&sb,"91.%d.%d.7:8080\n",i/256%256,i%256);case 2: fmt.Fprintf(&sb,"hxxp://h%d[.]ru/a/b%d.php\n",i,i); case 3: fmt.Fprintf(&sb,"%064x\n",i)}}
 st:=time.Now(); b,err:=Read("x",strings.NewReader(sb.String())); fmt.Println(time.Since(st),err,b.Found,len(b.LeftOut),b.Format)
 st=time.Now(); b,err=Read("x.md",strings.NewReader(sb.String())); fmt.Println(time.Since(st),err,b.Found,len(b.LeftOut),b.Format)
}
